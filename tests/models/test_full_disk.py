"""A disk without room costs a training job nothing but another attempt."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import small_disk as disks
from tests.models.test_resume import attempt, outcome, undisturbed

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import TrainingSpec
from curricle.models.answers import answer
from curricle.models.jobs import Job
from curricle.models.placement import Placement
from curricle.models.training_inputs import TrainingInputs


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    with disks.small_disk(folder, "512k") as is_mounted:
        if not is_mounted:
            pytest.skip("mounting a small file system needs root")
        yield folder


def test_a_full_disk_costs_nothing_but_a_second_attempt(
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = undisturbed(training_spec, inputs, tmp_path / "undisturbed")
    filler = small_disk / "filler"
    unfinished = str(small_disk / "unfinished")
    read = TrainingInputs.micro_batches

    def somebody_else_writes(self: TrainingInputs, *arguments: Any) -> Any:
        filler.write_bytes(b"\0" * 300_000)
        return read(self, *arguments)

    monkeypatch.setattr(TrainingInputs, "micro_batches", somebody_else_writes)
    with pytest.raises(JobError, match="no snapshot at step .*No space left"):
        attempt(training_spec, inputs, tmp_path / "first", unfinished)
    monkeypatch.undo()
    filler.unlink()
    assert attempt(training_spec, inputs, tmp_path / "second", unfinished) == expected


def test_a_full_output_disk_is_one_line(
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = replace(training_spec, checkpoints_at=())
    expected = undisturbed(spec, inputs, tmp_path / "undisturbed")
    output = small_disk / "output"
    output.mkdir()
    message = Job("train", spec, inputs, output, str(tmp_path / "unfinished")).to_message(
        Placement(snapshot_seconds=0)
    )
    read = TrainingInputs.micro_batches

    def somebody_else_writes(self: TrainingInputs, *arguments: Any) -> Any:
        disks.fill(small_disk)
        return read(self, *arguments)

    monkeypatch.setattr(TrainingInputs, "micro_batches", somebody_else_writes)
    assert answer(message)["error"] == f"no space left for {output}: free some and run again"
    monkeypatch.undo()
    (small_disk / "filler").unlink()
    shutil.rmtree(output)
    output.mkdir()
    assert "facts" in answer(message)
    assert outcome(output) == expected


def test_a_disk_without_room_is_refused_before_the_first_step(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(b"\0" * 300_000)
    message = (
        r"0\.\d MB free for .*small, expected 0\.\d MB, for checkpoints and snapshots, fix: fr"
    )
    with pytest.raises(InputError, match=message):
        attempt(training_spec, inputs, tmp_path / "first", str(small_disk / "unfinished"))
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
