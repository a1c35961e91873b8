"""Several devices: two processes on CPUs stand for them."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import AveragingSpec, TrainingSpec
from curricle.core.order_file import write_order
from curricle.models.jobs import Job
from curricle.models.placement import Placement
from curricle.models.pool import JobPool
from curricle.models.torchrun_worker import TorchrunWorker
from curricle.models.training import train
from curricle.models.training_inputs import TrainingInputs, open_inputs

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


@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.parametrize("micro_batch_size", [4, 8])
def test_the_devices_read_one_devices_batches(
    devices: int, micro_batch_size: int, training_spec: TrainingSpec, inputs: dict[str, Path]
) -> None:
    spec = replace(
        training_spec,
        batch_size=8,
        steps=10,
        micro_batch_size=micro_batch_size,
        checkpoints_at=(),
    )
    data = open_inputs(spec, inputs, Placement())
    for step in range(spec.steps):
        whole_MBT1 = data.micro_batches(spec, step, 0, 1)
        parts = [data.micro_batches(spec, step, rank, devices) for rank in range(devices)]
        assert torch.equal(torch.cat(parts, dim=1), whole_MBT1)


def kill_a_rank(worker: TorchrunWorker) -> None:
    assert worker._ranks is not None
    agent = worker._ranks.pid
    ranks = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    os.kill(int(ranks[-1]), signal.SIGKILL)


def ask_torchrun_to_end(worker: TorchrunWorker) -> None:
    assert worker._ranks is not None
    worker._ranks.send_signal(signal.SIGTERM)


def close_the_input(worker: TorchrunWorker) -> None:
    assert worker._ranks is not None
    assert worker._ranks.stdin is not None
    worker._ranks.stdin.close()


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("end", "strategy", "precision"),
    [
        (kill_a_rank, "ddp", "fp32"),
        pytest.param(kill_a_rank, "ddp", "bf16", marks=SLOW),
        pytest.param(kill_a_rank, "fsdp", "fp32", marks=SLOW),
        pytest.param(kill_a_rank, "fsdp", "bf16", marks=SLOW),
        pytest.param(ask_torchrun_to_end, "ddp", "fp32", marks=SLOW),
        pytest.param(close_the_input, "fsdp", "fp32", marks=SLOW),
    ],
)
def test_ended_half_way_two_devices_go_on_to_the_same_bits(
    end: Callable[[Any], None],
    strategy: str,
    precision: str,
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
) -> None:
    spec = replace(
        training_spec, micro_batch_size=2, steps=600, checkpoints_at=(), precision=precision
    )
    write_order(inputs["order"], np.arange(spec.samples) % 80)
    folders = {name: tmp_path / name for name in ("undisturbed", "ended", "again")}
    for folder in folders.values():
        folder.mkdir()
    unfinished = tmp_path / "unfinished"
    placement = Placement(devices=2, strategy=strategy, snapshot_seconds=0.05)
    with contextlib.closing(JobPool(workers=1, placement=placement)) as pool:
        pool.run(Job("train", spec, inputs, folders["undisturbed"]))
        with ThreadPoolExecutor() as executor:
            job = Job("train", spec, inputs, folders["ended"], str(unfinished))
            future = executor.submit(pool.run, job)
            wait_for_a_snapshot(unfinished)
            for worker in pool._workers:
                end(worker)
            with pytest.raises(JobError):
                future.result()
        assert not (folders["ended"] / "validation.parquet").exists(), "it was too fast"
        pool.run(Job("train", spec, inputs, folders["again"], str(unfinished)))
    for name in ("model.safetensors", "validation.parquet"):
        expected = (folders["undisturbed"] / name).read_bytes()
        assert (folders["again"] / name).read_bytes() == expected
    assert losses(folders["again"]) == losses(folders["undisturbed"])


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_all_devices(
    pool: JobPool, spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    optimizer = replace(spec.optimizer, learning_rate=1e30, schedule="constant")
    output = tmp_path / "diverges"
    output.mkdir()
    job = Job("train", replace(spec, optimizer=optimizer), inputs, output)
    with pytest.raises(JobError, match=r"is (nan|inf).* samples \["):
        pool.run(job)


def wait_for_a_snapshot(folder: Path) -> None:
    deadline = time.monotonic() + 240
    while not any(folder.glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


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
