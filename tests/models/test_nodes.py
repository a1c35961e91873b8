"""Several nodes: two torchruns on this machine stand for them, started by Kubernetes' launcher."""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models.test_distributed import losses, wait_for_a_snapshot

from curricle.core.errors import InputError, LostWorkerError
from curricle.core.jobs import TrainingSpec
from curricle.core.order_file import write_order
from curricle.models.jobs import Job
from curricle.models.launcher import LAUNCHER
from curricle.models.placement import Placement
from curricle.models.pool import JobPool
from curricle.models.torchrun_worker import TorchrunWorker

LAUNCH = Path(__file__).parents[2] / "deploy" / "kubernetes" / "nodes" / "launch.py"
# Runs here what it is to run in a pod.
KUBECTL = """\
#!/bin/sh
case "$1" in
  wait) ;;
  exec) shift 4; exec "$@" ;;
esac
"""
ONE_NODE = Placement(devices=2, snapshot_seconds=0.05)
TWO_NODES = replace(ONE_NODE, devices=1, nodes=2)
Run = Callable[..., Path]


@pytest.fixture(autouse=True)
def _cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of a cluster, and a launcher over two of its nodes."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv(LAUNCHER, shlex.join([sys.executable, str(LAUNCH), "2"]))


@pytest.fixture
def run(training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path) -> Run:
    """Train for so many steps by a pool, from a place of unfinished work if one is given."""

    def run(pool: JobPool, name: str, steps: int, unfinished: Path | None = None) -> Path:
        spec = replace(training_spec, micro_batch_size=2, steps=steps, checkpoints_at=())
        write_order(inputs["order"], np.arange(spec.samples) % 80)
        output = tmp_path / name
        output.mkdir()
        place = str(unfinished) if unfinished else None
        pool.run(Job("train", spec, inputs, output, place))
        return output

    return run


def assert_same_bits(first: Path, second: Path) -> None:
    for name in ("model.safetensors", "validation.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert losses(first) == losses(second)


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_nodes_train_like_one_with_as_many_devices(strategy: str, run: Run) -> None:
    folders = []
    for name, placement in (("one", ONE_NODE), ("two", TWO_NODES)):
        shared = replace(placement, strategy=strategy)
        with contextlib.closing(JobPool(workers=1, placement=shared)) as pool:
            folders.append(run(pool, name, 60))
    assert_same_bits(*folders)
    assert not [path for path in folders[1].iterdir() if path.is_dir()]


def kill_a_node(pool: JobPool) -> None:
    """All of its processes at once."""
    (worker,) = pool._workers
    assert isinstance(worker, TorchrunWorker)
    assert worker._ranks is not None
    node = children(worker._ranks.pid)[-1]
    for process in (*children(node), node):
        os.kill(process, signal.SIGKILL)


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


END = [
    (kill_a_node, r"ended with status 1; last lines:(.|\n)*failed in worker-nodes-[01, w]*"),
    pytest.param(JobPool.leave, r"stopped on request after \d+ of 300", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("end", "message"), END)
def test_ended_half_way_two_nodes_go_on_to_the_same_bits(
    end: Callable[[JobPool], None], message: str, run: Run, tmp_path: Path
) -> None:
    unfinished = tmp_path / "unfinished"
    pool = JobPool(workers=1, placement=TWO_NODES)
    with ThreadPoolExecutor() as executor:
        future = executor.submit(run, pool, "ended", 300, unfinished)
        wait_for_a_snapshot(unfinished)
        end(pool)
        with pytest.raises(LostWorkerError, match=message):
            future.result()
    pool.close()
    assert not (tmp_path / "ended" / "validation.parquet").exists(), "it was too fast"
    with contextlib.closing(JobPool(workers=1, placement=TWO_NODES)) as pool:
        again = run(pool, "again", 300, unfinished)
        assert_same_bits(again, run(pool, "undisturbed", 300))


@pytest.mark.parametrize("launcher", ["", "no-such-program --nodes=2", "srun 'open"])
def test_without_a_launcher_it_is_refused(
    launcher: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LAUNCHER, launcher)
    with (
        contextlib.closing(JobPool(workers=1, placement=TWO_NODES)) as pool,
        pytest.raises(InputError, match=rf"nodes above 1.*{LAUNCHER}.*starts another one on every"),
    ):
        run(pool, "refused", 60)
