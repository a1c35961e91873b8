import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curricle.core.errors import InputError, LostWorkerError
from curricle.core.jobs import TrainingSpec
from curricle.core.order_file import write_order
from curricle.core.plain import to_plain
from curricle.models import worker_process
from curricle.models.jobs import Job
from curricle.models.placement import Placement
from curricle.models.pool import JobPool, train_many
from curricle.models.training import train
from curricle.models.worker import BEAT_SECONDS
from curricle.models.worker_process import MALLOC


def test_a_pool_runs_jobs_like_this_process_and_survives_bad_ones(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    outputs = [tmp_path / name for name in ("here", "there", "again", "killed", "bad", "unknown")]
    for output in outputs:
        output.mkdir()
    here, there, again, killed, bad, unknown = outputs
    expected = train(training_spec, inputs, here, Placement())
    assert expected.pop("training_seconds") > 0
    pool = JobPool(workers=1)
    try:
        for output in (there, again):
            facts = pool.run(Job("train", training_spec, inputs, output))
            assert facts.pop("seconds") > facts.pop("training_seconds") > 0
            assert (facts.pop("workers"), facts.pop("accelerator")) == (1, "cpu")
            assert facts == expected
            assert (output / "model.safetensors").read_bytes() == (
                here / "model.safetensors"
            ).read_bytes()
            # Killed while it waits for a job, which nobody has to know.
            _kill(pool._idle.queue[0])

        endless = replace(training_spec, steps=100_000, checkpoints_at=())
        write_order(inputs["order"], np.arange(endless.samples) % 80)
        with ThreadPoolExecutor() as executor:
            future = executor.submit(pool.run, Job("train", endless, inputs, killed))
            _wait_until(killed / "model.json")
            for worker in pool._workers:
                _kill(worker)
            with pytest.raises(LostWorkerError, match="ended with status -9"):
                future.result()

        write_order(inputs["order"], np.arange(3))
        with pytest.raises(InputError, match="order of 3 samples"):
            pool.run(Job("train", training_spec, inputs, bad))
        with pytest.raises(InputError, match="job kind 'dance'"):
            pool.run(Job("dance", training_spec, inputs, unknown))
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("MOST_SILENT_SECONDS", "no sign of life from the worker process for 8 s"),
        ("MOST_STILL_SECONDS", "the job has made no progress for 0 s"),
    ],
)
def test_a_hung_job_is_given_up_and_goes_on_elsewhere(
    limit: str,
    message: str,
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endless = replace(training_spec, steps=100_000, checkpoints_at=())
    write_order(inputs["order"], np.arange(endless.samples) % 80)
    (tmp_path / "hung").mkdir()
    (tmp_path / "next").mkdir()
    pool = JobPool(workers=1)
    try:
        with ThreadPoolExecutor() as executor:
            future = executor.submit(pool.run, Job("train", endless, inputs, tmp_path / "hung"))
            _wait_until(tmp_path / "hung" / "model.json")
            monkeypatch.setattr(worker_process, limit, 8 if "SILENT" in limit else -1)
            if "SILENT" in limit:
                time.sleep(BEAT_SECONDS + 1)  # the limit counts from the next beat on
                (worker,) = pool._workers
                assert isinstance(worker, worker_process.WorkerProcess)
                worker._process.send_signal(signal.SIGSTOP)
            with pytest.raises(LostWorkerError, match=message):
                future.result(timeout=60)
        monkeypatch.undo()
        write_order(inputs["order"], np.arange(training_spec.samples))
        pool.run(Job("train", training_spec, inputs, tmp_path / "next"))
    finally:
        pool.close()


def test_waiting_for_a_worker_is_no_part_of_a_jobs_time(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    jobs = []
    for index in range(4):
        output = tmp_path / f"job{index}"
        output.mkdir()
        jobs.append(Job("train", training_spec, inputs, output))
    started = time.monotonic()
    facts = train_many(jobs, workers=1)
    assert sum(entry["seconds"] for entry in facts) <= time.monotonic() - started


def test_a_worker_keeps_freed_memory_and_is_started_once(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    pool = JobPool(workers=1)
    try:
        process = pool._idle.queue[0]._process
        # glibc cuts the variable where it stands, at its colons.
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().replace(b"\0", b":")
        assert b"GLIBC_TUNABLES=" + MALLOC.encode() in environment
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            pool.run(Job("train", training_spec, inputs, tmp_path / name))
            assert pool._idle.queue[0]._process.pid == process.pid
    finally:
        pool.close()


def test_many_jobs_come_back_in_order(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    jobs = []
    for seed in range(3):
        output = tmp_path / f"seed{seed}"
        output.mkdir()
        jobs.append(Job("train", replace(training_spec, seed=seed), inputs, output))
    facts = train_many(jobs, workers=2)
    assert all(entry.pop("seconds") > entry.pop("training_seconds") > 0 for entry in facts)
    assert all((e.pop("workers"), e.pop("accelerator")) == (2, "cpu") for e in facts)
    here = tmp_path / "here"
    here.mkdir()
    alone = train(jobs[1].spec, inputs, here, Placement())
    assert alone.pop("training_seconds") > 0
    assert facts[1] == alone
    assert len({entry["first_loss"] for entry in facts}) == 3


MANY = """
import json, sys
from pathlib import Path
from curricle.core.jobs import TrainingSpec
from curricle.core.plain import from_plain
from curricle.models.jobs import Job
from curricle.models.pool import train_many

request = json.load(sys.stdin)
spec = from_plain(TrainingSpec, request["spec"])
inputs = {role: Path(path) for role, path in request["inputs"].items()}
folder = Path(request["folder"])
places = [(folder / name, str(folder / "unfinished" / name)) for name in "ab"]
train_many([Job("train", spec, inputs, *place) for place in places], workers=1)
"""


def test_ctrl_c_ends_it_at_once_and_leaves_a_snapshot(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    spec = replace(training_spec, steps=100_000, checkpoints_at=())
    write_order(inputs["order"], np.arange(spec.samples) % 80)
    for name in "ab":
        (tmp_path / name).mkdir()
    paths = {role: str(path) for role, path in inputs.items()}
    request = {"spec": to_plain(spec), "inputs": paths, "folder": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", MANY], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(request))
        process.stdin.close()
        _wait_until(tmp_path / "a" / "model.json")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=240) != 0
    finally:
        process.kill()
        process.wait()
    assert list((tmp_path / "unfinished" / "a").glob("*.json"))
    assert not list((tmp_path / "b").iterdir())


def _kill(worker: Any) -> None:
    worker._process.kill()
    worker._process.wait()


def _wait_until(path: Path) -> None:
    deadline = time.monotonic() + 240
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
