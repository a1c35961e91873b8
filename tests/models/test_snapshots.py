import json
import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curricle.core.errors import JobError
from curricle.core.remote import open_filesystem
from curricle.models.snapshots import KEPT, Snapshots

Put = Callable[[str, bytes], None]


@pytest.fixture(params=["local", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "unfinished")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}/unfinished"


@pytest.fixture
def put(url: str) -> Put:
    """Write a file of the folder behind the back of whoever keeps snapshots there."""
    files, folder = open_filesystem(url)

    def write(name: str, content: bytes) -> None:
        files.makedirs(folder, exist_ok=True)
        files.pipe_file(posixpath.normpath(f"{folder}/{name}"), content)

    return write


def names_in(url: str) -> list[str]:
    files, folder = open_filesystem(url)
    return sorted(Path(path).name for path in files.ls(folder, detail=False))


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((3, 2), value), "step": torch.tensor(value)}


def test_the_newest_comes_back_with_facts_and_outputs(url: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    kept = first / "model-at-8.safetensors"
    kept.write_bytes(b"weights")
    snapshots = Snapshots(url, "job")
    assert snapshots.latest(first) is None
    for step in (1, 2, 30):
        snapshots.save(step, tensors(step), {"losses": [0.1, step]}, [kept] if step > 1 else [])
    found = Snapshots(url, "job").latest(second)
    assert found is not None
    assert found.step == 30
    assert found.facts == {"losses": [0.1, 30]}
    torch.testing.assert_close(found.tensors, tensors(30), atol=0, rtol=0)
    assert (second / kept.name).read_bytes() == b"weights"
    assert [path.name for path in second.iterdir()] == [kept.name]


def test_refused_ones_displace_no_good_one(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Snapshots(url, "other")
    for step in (8, 9):
        other.save(step, tensors(step), {})
    snapshots = Snapshots(url, "job")
    assert snapshots.latest(tmp_path) is None
    assert "no snapshot before" in snapshots.describe(9)
    for step in (1, 2, 3):
        snapshots.save(step, tensors(step), {})
        assert f"{step:012}.safetensors" in snapshots.describe(step)
        assert f"{step:012}.safetensors" in snapshots.describe(9)
    again = Snapshots(url, "job")
    found = again.latest(tmp_path)
    assert found is not None
    assert found.step == 3
    for step in (9, 10):
        again.save(step, tensors(step), {})
    found = Snapshots(url, "job").latest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert "000000000008.json is not used" in capsys.readouterr().err


def test_what_a_killed_writer_left_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "unfinished"
    snapshots = Snapshots(str(folder), "job")
    snapshots.save(1, tensors(1), {})
    whole = {path.name for path in folder.iterdir()}
    put = Snapshots._put

    def dies_at_the_facts(self: Snapshots, name: str, write: Any) -> str:
        if name.endswith(".json"):
            (folder / f".{name}.{'0' * 32}").write_text("{")
            raise KeyboardInterrupt
        return put(self, name, write)

    monkeypatch.setattr(Snapshots, "_put", dies_at_the_facts)
    with pytest.raises(KeyboardInterrupt):
        snapshots.save(2, tensors(2), {})
    (folder / "notes.txt").write_text("somebody's")
    assert len(list(folder.iterdir())) == len(whole) + 3
    found = Snapshots(str(folder), "job").latest(tmp_path)
    assert found is not None
    assert found.step == 1
    assert {path.name for path in folder.iterdir()} == whole | {"notes.txt"}


def test_older_ones_go_and_strangers_stay(url: str, put: Put) -> None:
    put("../000000000001.json", b"beside")
    put("notes.json", b"inside")
    snapshots = Snapshots(url, "job")
    for step in range(1, 6):
        snapshots.save(step, tensors(step), {})
    names = names_in(url)
    assert names[-1] == "notes.json"
    assert len(names) == 2 * KEPT + 1
    assert "000000000001.json" in names_in(url.rpartition("/")[0])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("000000000002.safetensors", b"cut", "000000000002.safetensors is damaged"),
        ("000000000002.json", b"{", "Expecting property name"),
        ("000000000002.json", b'{"identity": "other"}', "it belongs to another job"),
        ("000000000002.json", b'{"identity": "job"}', "'files'"),
        ("000000000002.json", b"null", "'NoneType' object"),
        ("000000000002.json", b'{"identity": "job", "files": []}', "'list' object"),
    ],
)
def test_a_damaged_or_foreign_one_is_named_and_the_one_before_used(
    name: str,
    content: bytes,
    reason: str,
    url: str,
    put: Put,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    snapshots = Snapshots(url, "job")
    for step in (1, 2):
        snapshots.save(step, tensors(step), {})
    put(name, content)
    found = Snapshots(url, "job").latest(tmp_path)
    assert found is not None
    assert found.step == 1
    message = capsys.readouterr().err
    assert f"{url.removeprefix('s3://')}/000000000002.json is not used" in message
    assert reason in message


def test_a_snapshot_cannot_name_files_elsewhere(
    url: str, put: Put, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Snapshots(url, "job").save(1, tensors(1), {})
    files, folder = open_filesystem(url)
    content = json.loads(files.cat_file(f"{folder}/000000000001.json"))
    content["files"]["../stolen"] = "0"
    put("000000000001.json", json.dumps(content).encode())
    put("../stolen", b"secret")
    assert Snapshots(url, "job").latest(tmp_path) is None
    assert "'../stolen' is not a file of its folder" in capsys.readouterr().err


def test_a_place_that_cannot_be_read_is_no_reason_to_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: Snapshots) -> list[int]:
        raise ConnectionRefusedError("no route")

    monkeypatch.setattr(Snapshots, "_steps", unreachable)
    with pytest.raises(JobError, match="unfinished can't be read: no route"):
        Snapshots(str(tmp_path / "unfinished"), "job").latest(tmp_path)


def test_without_a_place_nothing_is_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(None, "job")
    snapshots.save(1, tensors(1), {})
    assert snapshots.latest(tmp_path) is None
    assert "no snapshot" in snapshots.describe(1)
