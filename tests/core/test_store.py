import contextlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.small_disk import small_disk

from curricle.core.errors import InputError, IntegrityError
from curricle.core.order_file import blank_order
from curricle.core.store import Artifact, Request, Store, open_existing

REQUEST = Request("order", "random", {"seed": 0})


def write_numbers(folder: Path) -> Mapping[str, Any]:
    (folder / "sub").mkdir()
    (folder / "numbers.txt").write_text("1 2 3")
    (folder / "sub" / "more.txt").write_text("4")
    return {"count": 4}


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))
    fsspec.filesystem("memory").rm("/", recursive=True)
    return Store("memory://bucket/store")


def test_what_is_produced_can_be_read(store: Store) -> None:
    artifact = store.produce(REQUEST, write_numbers)
    folder = store.folder(artifact)
    assert (folder / "sub" / "more.txt").read_text() == "4"
    assert store.facts(artifact) == {"count": 4}
    assert list(store.artifacts()) == [artifact]
    assert store.verify(artifact) == []


def test_an_artifact_is_built_once(store: Store) -> None:
    store.produce(REQUEST, write_numbers)
    store.produce(REQUEST, lambda folder: pytest.fail(f"built again in {folder}"))


def test_identity_is_spec_inputs_and_version_but_not_name() -> None:
    def key(**changes: Any) -> str:
        arguments = {"kind": "order", "name": "a", "spec": {"seed": 0}, **changes}
        return Request(**arguments).artifact.fingerprint

    other = Artifact("dataset", "x", "0" * 16)
    assert key() == key(name="b")
    assert len({key(), key(spec={"seed": 1}), key(version=2), key(inputs={"data": other})}) == 4


def test_a_failed_build_leaves_nothing(store: Store) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        store.produce(REQUEST, fail)
    assert list(store.artifacts()) == []
    if store.is_local:
        assert list((Path(store.base) / ".staging").iterdir()) == []


@pytest.mark.parametrize("by", ["python", "arrow"])
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path, by: str) -> None:
    def fill(folder: Path) -> None:
        (folder / "data").symlink_to("/dev/full")
        if by == "python":
            (folder / "data").write_text("x")
        else:
            pq.write_table(pa.table({"x": range(100_000)}), folder / "data")

    store = Store(str(tmp_path))
    with pytest.raises(InputError, match="No space left on device, expected room .* fix: free"):
        store.produce(REQUEST, fill)
    assert list(store.artifacts()) == []
    assert list((tmp_path / ".staging").iterdir()) == []


def test_a_full_disk_keeps_the_note_that_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path, "128k") as is_mounted:
        if not is_mounted:
            pytest.skip("mounting a small disk takes rights")
        store = Store(str(tmp_path))
        store.write_note("study", "first")
        with pytest.raises(InputError, match="No space left on device, expected room .* fix: free"):
            store.write_note("study", "x" * 200_000)
        assert store.notes() == {"study": "first"}
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_an_order_has_its_room_before_it_is_filled(tmp_path: Path) -> None:
    """Written into a sparse file on a full disk, memory that is mapped ends the process."""
    with small_disk(tmp_path, "128k") as is_mounted:
        if not is_mounted:
            pytest.skip("mounting a small disk takes rights")
        with pytest.raises(OSError, match="No space left on device"):
            blank_order(tmp_path, 100_000)


def test_a_folder_without_record_does_not_exist(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    (tmp_path / REQUEST.artifact.key).mkdir(parents=True)
    assert not store.exists(REQUEST.artifact)
    store.produce(REQUEST, write_numbers)
    assert store.exists(REQUEST.artifact)


def test_two_builders_at_once_leave_one_whole_artifact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system without locks, where no claim holds anybody up."""
    monkeypatch.setattr(Store, "claim", lambda *_: contextlib.nullcontext(lambda: True))
    barrier = threading.Barrier(2)

    def build(folder: Path) -> Mapping[str, Any]:
        barrier.wait(timeout=10)
        return write_numbers(folder)

    threads = [threading.Thread(target=store.produce, args=(REQUEST, build)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.verify(REQUEST.artifact) == []
    assert store.facts(REQUEST.artifact) == {"count": 4}


def test_damage_is_found(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    artifact = store.produce(REQUEST, write_numbers)
    file = store.folder(artifact) / "numbers.txt"
    file.write_text("1 2 4")
    assert store.verify(artifact) == [
        f"{artifact.key}/numbers.txt: SHA-256 differs from the record's"
    ]
    file.write_text("1 2")
    with pytest.raises(IntegrityError, match=r"numbers\.txt: 3 bytes where the record says 5"):
        store.folder(artifact)
    file.unlink()
    assert store.verify(artifact) == [f"{artifact.key}/numbers.txt: missing"]


def test_an_unreadable_record_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    artifact = store.produce(REQUEST, write_numbers)
    (tmp_path / artifact.key / "record.json").write_text("{")
    with pytest.raises(IntegrityError, match="record.json"):
        store.facts(artifact)


def test_the_record_tells_where_it_came_from(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    record = store.record(store.produce(REQUEST, write_numbers))
    assert record["spec"] == {"seed": 0}
    assert set(record["files"]) == {"numbers.txt", "sub/more.txt"}
    assert record["files"]["numbers.txt"]["bytes"] == 5
    assert {"code", "packages", "device", "created", "inputs"} <= set(record)
    assert json.loads(json.dumps(record)) == record


def test_an_unusable_root_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="fix: give another one"):
        Store(str(tmp_path / "file" / "store"))
    with pytest.raises(InputError, match="not there"):
        open_existing(str(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()
