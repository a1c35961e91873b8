"""Several devices: two processes on CPUs stand for them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from curricle.core.errors import InputError
from curricle.core.jobs import AveragingSpec, TrainingSpec
from curricle.models.jobs import Job
from curricle.models.placement import Placement
from curricle.models.pool import JobPool
from curricle.models.training import train
from curricle.models.training_inputs import TrainingInputs

Run = Callable[..., Path]
WEIGHTS = ("model.safetensors", "model-last.safetensors", "model-at-240.safetensors")


@pytest.fixture
def spec(training_spec: TrainingSpec) -> TrainingSpec:
    average = AveragingSpec(method="ema", decay=0.9)
    return replace(training_spec, micro_batch_size=2, averaging=average, validations_at=(480,))


@pytest.fixture(params=["ddp", "fsdp"])
def pool(request: pytest.FixtureRequest) -> Iterator[JobPool]:
    """Runs each training job on two devices."""
    placement = Placement(devices=2, strategy=request.param, snapshot_seconds=0)
    pool = JobPool(workers=1, placement=placement)
    yield pool
    pool.close()


@pytest.fixture
def on_one(spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path) -> Run:
    """Train on one device, from a place of unfinished work if one is given."""

    def run(name: str, unfinished: Path | None = None) -> Path:
        output = tmp_path / name
        output.mkdir()
        place = str(unfinished) if unfinished else None
        train(spec, inputs, output, Placement(unfinished=place, snapshot_seconds=0))
        return output

    return run


def losses(folder: Path) -> dict[tuple[int, str], float]:
    entries = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    timed = ("train/tokens_per_second", "train/mfu")
    return {
        (entry["tokens"], name): value
        for entry in entries
        for name, value in entry["values"].items()
        if name not in timed
    }


def assert_same_run(first: Path, second: Path) -> None:
    left, right = losses(first), losses(second)
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert right[key] == pytest.approx(value, abs=1e-5), key
    for name in WEIGHTS:
        expected, found = load_file(first / name), load_file(second / name)
        for parameter, tensor in expected.items():
            np.testing.assert_allclose(found[parameter], tensor, atol=1e-4)
    rows, other = (pq.read_table(folder / "validation.parquet") for folder in (first, second))
    assert rows.drop(["loss"]).equals(other.drop(["loss"]))
    np.testing.assert_allclose(rows["loss"], other["loss"], atol=1e-5)


def test_two_devices_train_like_one_and_either_goes_on_for_the_other(
    pool: JobPool,
    on_one: Run,
    spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = on_one("one")
    two = tmp_path / "two"
    two.mkdir()
    pool.run(Job("train", spec, inputs, two, str(tmp_path / "of-two")))
    assert_same_run(one, two)
    # What two devices left after 19 of the 20 steps one device finishes, and the other way round.
    assert_same_run(one, on_one("two-then-one", tmp_path / "of-two"))
    with monkeypatch.context() as patch:
        patch.setattr(TrainingInputs, "micro_batches", _failing_at(12))
        with pytest.raises(RuntimeError, match="power cut"):
            on_one("cut", tmp_path / "of-one")
    then_two = tmp_path / "one-then-two"
    then_two.mkdir()
    pool.run(Job("train", spec, inputs, then_two, str(tmp_path / "of-one")))
    assert_same_run(one, then_two)


def _failing_at(fatal: int) -> Callable[..., Any]:
    read = TrainingInputs.micro_batches

    def micro_batches(self: TrainingInputs, *arguments: Any) -> Any:
        if arguments[1] == fatal:
            raise RuntimeError("power cut")
        return read(self, *arguments)

    return micro_batches


def test_a_batch_that_two_devices_cannot_share_is_refused(
    spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    odd = replace(spec, micro_batch_size=1)
    with pytest.raises(InputError, match=r"micro_batch_size 1, 2 devices, expected"):
        train(odd, inputs, tmp_path, Placement(devices=2))


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curricle.models.placement.cuda_devices", lambda: 0)
    with pytest.raises(InputError, match=r"CUDA devices asked for, 0 found.*fix: lower"):
        Placement(accelerator="cuda", devices=64).resolved  # noqa: B018
