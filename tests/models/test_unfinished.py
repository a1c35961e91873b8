"""What an evaluation has done goes on only with the very model, data and settings."""

import time
from pathlib import Path

import pytest
import torch

from curricle.models.placement import SNAPSHOT_SHARE, Placement
from curricle.models.unfinished import State, Unfinished, identity_of


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {role: tmp_path / role for role in ("checkpoint", "validation")}
    for folder in found.values():
        folder.mkdir()
    for name in ("config.json", "model.json", "model.safetensors", "README.md"):
        (found["checkpoint"] / name).write_text(name)
    for name in ("manifest.json", "tokens-a-00000.bin"):
        (found["validation"] / name).write_text(name)
    return found


@pytest.mark.parametrize(
    "changed",
    [
        "checkpoint/config.json",
        "checkpoint/model.json",
        "checkpoint/model.safetensors",
        "validation/manifest.json",
        "validation/tokens-a-00000.bin",
    ],
)
def test_another_file_is_another_job(
    changed: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    before = identity_of(folders, spec={"shots": 5})
    (folders["checkpoint"] / "README.md").write_text("says nothing that counts")
    assert identity_of(folders, spec={"shots": 5}) == before
    assert identity_of(folders, spec={"shots": 4}) != before
    (tmp_path / changed).write_text("changed")
    assert identity_of(folders, spec={"shots": 5}) != before


def test_a_state_that_takes_long_to_keep_is_kept_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    place = Placement(unfinished=str(tmp_path / "unfinished"), snapshot_seconds=10.0)
    unfinished = Unfinished(place, "job", tmp_path)
    kept = []

    def state() -> State:
        clock[0] += 2.0  # to write it
        kept.append(clock[0])
        return {"sum": torch.tensor(clock[0])}, {"done": len(kept)}

    for _ in range(300):
        clock[0] += 1.0
        unfinished.look(len(kept), "all", state)
    assert kept[0] == 13.0
    assert kept[1] - kept[0] == pytest.approx(2.0 * SNAPSHOT_SHARE, abs=3)
    found = Unfinished(place, "job", tmp_path).restore()
    assert found is not None
    assert found.facts == {"done": len(kept)}
