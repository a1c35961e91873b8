"""What an interrupted job says that it took: all attempts, on a clock that ticks at each look."""

import json
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from curricle.core.jobs import TrainingSpec
from curricle.models import attempts, interruption
from curricle.models.attempts import EARLIER
from curricle.models.jobs import Job, run_job
from curricle.models.placement import Placement


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time now, which stands still until a test lets it pass."""
    now = [1000.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr(attempts, "time", Clock)
    return now


@pytest.fixture
def message(training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    """A training job that keeps snapshots."""
    (tmp_path / "run").mkdir()
    job = Job("train", training_spec, inputs, tmp_path / "run", str(tmp_path / "unfinished"))
    return job.to_message(Placement())


def _interrupted(
    message: dict[str, Any], clock: list[float], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """An attempt of 10 seconds up to its first step, 1 for each more, asked to stop `after` some.

    Another 100 seconds pass from the snapshot to the end of the process.
    """
    looks, requested = count(1), threading.Event()

    def stop_requested() -> bool:
        look = next(looks)
        clock[0] += 10 if look == 1 else 1
        if look >= after:
            requested.set()
        return requested.is_set()

    with monkeypatch.context() as stopped:
        stopped.setattr("curricle.models.training.stop_requested", stop_requested)
        with pytest.raises(interruption.InterruptedJobError):
            run_job(message)
    clock[0] += 100


def test_seconds_are_those_of_all_attempts(
    message: dict[str, Any],
    tmp_path: Path,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _interrupted(message, clock, monkeypatch, after=5)
    first = _told(tmp_path / "unfinished")
    assert first >= 10
    _interrupted(message, clock, monkeypatch, after=4)
    second = _told(tmp_path / "unfinished")
    assert second - first >= 10
    facts = run_job(message)
    assert facts[EARLIER] == second < 100


def test_the_first_attempt_has_none_before(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    message = Job("train", training_spec, inputs, tmp_path / "run").to_message(Placement())
    assert run_job(message)[EARLIER] == 0


def test_a_snapshot_that_does_not_tell_is_gone_on_from(
    message: dict[str, Any],
    tmp_path: Path,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _interrupted(message, clock, monkeypatch, after=5)
    path = _newest(tmp_path / "unfinished")
    content = json.loads(path.read_text())
    del content["seconds"]
    path.write_text(json.dumps(content))
    assert run_job(message)[EARLIER] == 0


def _newest(unfinished: Path) -> Path:
    return max(unfinished.glob("*.json"))


def _told(unfinished: Path) -> float:
    return float(json.loads(_newest(unfinished).read_text())["seconds"])
