"""Interrupted anywhere, a run ends with the same bits as an undisturbed one."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.accelerators import ACCELERATORS

from curricle.core.errors import JobError
from curricle.core.jobs import AveragingSpec, TrainingSpec
from curricle.core.order_file import write_order
from curricle.models import interruption
from curricle.models.jobs import Job
from curricle.models.placement import Placement
from curricle.models.training import TrainingRun, train
from curricle.models.training_inputs import TrainingInputs
from curricle.models.worker_process import worker_environment

Files = dict[str, Any]

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"micro_batch_size": 2},
    "exponential average": {"averaging": AveragingSpec(method="ema", decay=0.9)},
    "mean of the last": {"averaging": AveragingSpec(method="last", checkpoints=4, every=3)},
    "dropout": {"dropout": 0.2},
    "validated on the way": {"validations_at": (240, 480, 720)},
    "clipped, decay on all": {"optimizer": {"gradient_clip": 0.02, "decay_all": True}},
}

PRECISIONS = ("fp32", "bf16")


class LostPowerError(Exception):
    """Stands for SIGKILL: nothing of the job's own code runs after it."""


@pytest.fixture
def dies_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the next attempt die when it reads the batch at a step."""
    read = TrainingInputs.micro_batches

    def arm(fatal: int) -> None:
        def micro_batches(self: TrainingInputs, *arguments: Any) -> Any:
            if arguments[1] == fatal:
                raise LostPowerError
            return read(self, *arguments)

        monkeypatch.setattr(TrainingInputs, "micro_batches", micro_batches)

    return arm


def outcome(folder: Path) -> Files:
    """Everything a run leaves that mustn't depend on interruptions: weights, losses, rows."""
    files: Files = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    files["validation"] = (folder / "validation.parquet").read_bytes()
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    timed = ("train/tokens_per_second", "train/mfu")
    files["metrics"] = [
        (entry["tokens"], {k: v for k, v in entry["values"].items() if k not in timed})
        for entry in map(json.loads, lines)
    ]
    return files


def attempt(
    spec: TrainingSpec,
    inputs: dict[str, Path],
    output: Path,
    unfinished: str,
    snapshot_seconds: float = 0.0,
    accelerator: str = "cpu",
) -> Files:
    output.mkdir()
    placement = Placement(
        accelerator=accelerator, unfinished=unfinished, snapshot_seconds=snapshot_seconds
    )
    train(spec, inputs, output, placement)
    return outcome(output)


def undisturbed(
    spec: TrainingSpec, inputs: dict[str, Path], folder: Path, accelerator: str = "cpu"
) -> Files:
    folder.mkdir()
    train(spec, inputs, folder, Placement(accelerator=accelerator))
    return outcome(folder)


def killed_once(
    spec: TrainingSpec,
    inputs: dict[str, Path],
    folder: Path,
    dies_at: Callable[[int], None],
    fatal: int,
    unfinished: str,
) -> Files:
    """What a run leaves whose first attempt dies at the step `fatal`."""
    dies_at(fatal)
    with pytest.raises(LostPowerError):
        attempt(spec, inputs, folder / "first", unfinished)
    dies_at(-1)
    return attempt(spec, inputs, folder / "second", unfinished)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_a_killed_run_ends_with_the_same_bits(
    accelerator: str,
    name: str,
    precision: str,
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
) -> None:
    changes = dict(VARIANTS[name])
    model = replace(training_spec.model, dropout=changes.pop("dropout", 0.0))
    optimizer = replace(training_spec.optimizer, **changes.pop("optimizer", {}))
    spec = replace(training_spec, model=model, optimizer=optimizer, precision=precision, **changes)
    expected = undisturbed(spec, inputs, tmp_path / "undisturbed", accelerator)
    unfinished = str(tmp_path / "unfinished")
    for count, fatal in enumerate((3, 7, 8, 19)):
        dies_at(fatal)
        with pytest.raises(LostPowerError):
            attempt(spec, inputs, tmp_path / f"attempt{count}", unfinished, accelerator=accelerator)
    dies_at(-1)
    last = attempt(spec, inputs, tmp_path / "last", unfinished, accelerator=accelerator)
    assert last == expected


def test_unfinished_work_may_lie_on_s3(
    bucket: str,
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
) -> None:
    expected = undisturbed(training_spec, inputs, tmp_path / "undisturbed")
    unfinished = f"{bucket}/{tmp_path.name}"
    assert killed_once(training_spec, inputs, tmp_path, dies_at, 8, unfinished) == expected


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="compiling for a CPU needs g++")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_killed_compiled_run_ends_with_the_same_bits(
    precision: str,
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
) -> None:
    spec = replace(training_spec, precision=precision, compile=True)
    expected = undisturbed(spec, inputs, tmp_path / "undisturbed")
    unfinished = str(tmp_path / "unfinished")
    assert killed_once(spec, inputs, tmp_path, dies_at, 8, unfinished) == expected


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_goes_on_in_the_second_epoch(
    precision: str,
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
) -> None:
    spec = replace(training_spec, precision=precision, steps=40, checkpoints_at=(240,))
    write_order(inputs["order"], np.tile(np.arange(80), 2))
    expected = undisturbed(spec, inputs, tmp_path / "undisturbed")
    unfinished = str(tmp_path / "unfinished")
    assert killed_once(spec, inputs, tmp_path, dies_at, 27, unfinished) == expected


def test_a_stop_leaves_a_snapshot_at_once(
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = undisturbed(training_spec, inputs, tmp_path / "undisturbed")
    unfinished = str(tmp_path / "unfinished")
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    interruption.request_stop()
    (tmp_path / "first").mkdir()
    with pytest.raises(interruption.InterruptedJobError, match="after 1 of 20 steps"):
        train(training_spec, inputs, tmp_path / "first", Placement(unfinished=unfinished))
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    assert attempt(training_spec, inputs, tmp_path / "second", unfinished) == expected


def test_a_spike_leaves_the_last_good_snapshot(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    optimizer = replace(
        training_spec.optimizer, learning_rate=3.0, schedule="linear", warmup_fraction=0.5
    )
    spec = replace(training_spec, optimizer=optimizer, loss_spike=0.5)
    message = r"the loss jumped from .* at steps .* samples \[.*\] and \[.*last good snapshot"
    with pytest.raises(JobError, match=message):
        attempt(spec, inputs, tmp_path / "run", str(tmp_path / "unfinished"))


@contextlib.contextmanager
def spawned(job: Job, snapshot_seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """A job in a process of its own, fed as the pool feeds it."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "curricle.models.worker"],
        stdin=subprocess.PIPE,
        env=worker_environment(""),
        text=True,
    )
    assert process.stdin is not None
    message = job.to_message(Placement(snapshot_seconds=snapshot_seconds))
    try:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, "input closed"])
def test_real_signals(
    how: signal.Signals | str, training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    spec = replace(training_spec, steps=800, checkpoints_at=())
    write_order(inputs["order"], np.arange(spec.samples) % 80)
    expected = undisturbed(spec, inputs, tmp_path / "undisturbed")
    unfinished = tmp_path / "unfinished"
    output = tmp_path / "first"
    output.mkdir()
    # On a signal that can be caught the snapshot is taken then, not by the clock.
    seconds = 0.05 if how == signal.SIGKILL else 3600.0
    with spawned(Job("train", spec, inputs, output, str(unfinished)), seconds) as process:
        _wait_for(lambda: process.poll() is not None or _lines(output) > 2)
        assert process.poll() is None
        if how == signal.SIGKILL:
            _wait_for(lambda: any(unfinished.glob("*.json")))
        if isinstance(how, signal.Signals):
            process.send_signal(how)
        else:
            assert process.stdin is not None
            process.stdin.close()
        process.wait(timeout=30)
    assert any(unfinished.glob("*.json"))
    assert not (output / "validation.parquet").exists(), "it was too fast to be interrupted"
    assert attempt(spec, inputs, tmp_path / "second", str(unfinished), 3600.0) == expected


def _lines(output: Path) -> int:
    path = output / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_attempt_of_another_spec_is_not_continued(
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = replace(training_spec, seed=5)
    expected = undisturbed(other, inputs, tmp_path / "undisturbed")
    dies_at(9)
    with pytest.raises(LostPowerError):
        attempt(training_spec, inputs, tmp_path / "first", str(tmp_path / "unfinished"))
    dies_at(-1)
    assert attempt(other, inputs, tmp_path / "second", str(tmp_path / "unfinished")) == expected
    assert "is not used: it belongs to another job" in capsys.readouterr().err


def test_steps_done_before_are_not_done_again(
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dies_at(15)
    with pytest.raises(LostPowerError):
        attempt(training_spec, inputs, tmp_path / "first", str(tmp_path / "unfinished"))
    dies_at(-1)
    steps: list[int] = []
    update = TrainingRun._update

    def counted(self: TrainingRun, step: int, windows: Any) -> None:
        steps.append(step)
        update(self, step, windows)

    monkeypatch.setattr(TrainingRun, "_update", counted)
    attempt(training_spec, inputs, tmp_path / "second", str(tmp_path / "unfinished"))
    assert steps == list(range(steps[0], 20))
    assert steps[0] >= 14
