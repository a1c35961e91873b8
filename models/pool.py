"""A pool of worker processes that keeps one machine busy with jobs.

On a CPU one process per core with one thread each beats one process with all threads on small
models, and start-up (seconds of imports) is paid once per worker.
"""

import contextlib
import os
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from curricle.core.errors import InputError, JobError, LostWorkerError
from curricle.models.attempts import EARLIER
from curricle.models.jobs import Job
from curricle.models.placement import Placement
from curricle.models.torchrun_worker import TorchrunWorker
from curricle.models.worker_process import WorkerDiedError, WorkerProcess

Worker = WorkerProcess | TorchrunWorker
Turn = Callable[[Placement], contextlib.AbstractContextManager[object]]


class JobPool:
    """Runs jobs in `workers` processes; `run` may be called from any number of threads.

    By default there are as many as the cores have room for, each with `threads` threads; on CUDA,
    or with jobs of several devices, as many as the devices have room for. Each job runs inside
    `turn(placement)`, which may wait for a device that others share.
    """

    def __init__(
        self,
        workers: int | None = None,
        threads: int = 1,
        placement: Placement | None = None,
        turn: Turn = contextlib.nullcontext,
    ) -> None:
        self._placement, self._turn = placement or Placement(), turn
        slots = _slots(threads, self._placement)
        self.size = workers or len(slots)
        self._company = {"workers": self.size, "accelerator": self._placement.resolved}
        self._workers: set[Worker] = set()
        self._idle: queue.Queue[Worker] = queue.Queue()
        self._is_left = False
        for index in range(self.size):
            self._admit(_start_worker(self._placement, slots[index % len(slots)]))

    def close(self) -> None:
        """End the workers, waiting for the jobs that are under way."""
        for _ in range(self.size):
            self._idle.get().stop()

    def leave(self) -> None:
        """Let the workers end by themselves; a job under way leaves a snapshot first, if it can."""
        self._is_left = True
        for worker in tuple(self._workers):
            worker.leave()

    def run(self, job: Job) -> dict[str, Any]:
        """Run one job on the next free worker; its facts, and the `seconds` that it took.

        Earlier attempts count up to the snapshot that it goes on from. Seconds depend on the
        company that it has, so `workers` and `accelerator` are told beside them.

        Raises InputError or JobError as the job did; LostWorkerError with the worker's last log
        lines if the process died or hung at it, in which case another takes its place.
        """
        worker = self._next_living()
        if self._is_left:
            self._idle.put(worker)
            raise JobError("not begun: stopped on request")
        try:
            with self._turn(self._placement):
                started = time.monotonic()
                facts = worker.run(job.to_message(self._placement))
                seconds = time.monotonic() - started
        except (InputError, JobError):
            self._idle.put(worker)
            raise
        except BaseException as problem:
            # It is dead, or still at a job whose answer nobody waits for.
            self._workers.discard(worker)
            self._admit(worker if self._is_left else worker.successor())
            worker.end()
            if isinstance(problem, WorkerDiedError):
                raise LostWorkerError(f"{job.kind} job: {problem}") from None
            raise
        self._idle.put(worker)
        seconds += facts.pop(EARLIER)
        return {**facts, "seconds": seconds, **self._company}

    def _next_living(self) -> Worker:
        """The next free worker; one that was killed while it waited is replaced."""
        worker = self._idle.get()
        if self._is_left or not worker.has_ended:
            return worker
        successor = worker.successor()
        self._workers.discard(worker)
        self._workers.add(successor)
        return successor

    def _admit(self, worker: "Worker") -> None:
        self._workers.add(worker)
        self._idle.put(worker)


def train_many(
    jobs: Sequence[Job],
    workers: int | None = None,
    threads: int = 1,
    placement: Placement | None = None,
) -> list[dict[str, Any]]:
    """Run `jobs` so that the machine is busy; returns their facts in the same order.

    Raises the first error in that order, after all jobs have ended. Ctrl-C ends it at once: jobs
    that wait aren't begun, and those under way leave a snapshot by themselves, if they have a place
    for it.
    """
    pool = JobPool(workers, threads, placement)
    executor = ThreadPoolExecutor(pool.size)
    try:
        futures = [executor.submit(pool.run, job) for job in jobs]
        wait(futures)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        pool.leave()
        raise
    executor.shutdown()
    pool.close()
    return [future.result() for future in futures]


def jobs_at_once(workers: int | None, threads: int, placement: Placement) -> int:
    """How many workers a `JobPool` of these has.

    Raises InputError if CUDA is asked for and there are too few devices.
    """
    return workers or len(_slots(threads, placement))


def _start_worker(placement: Placement, visible: str) -> Worker:
    if placement.ranks == 1:
        return WorkerProcess(visible)
    return TorchrunWorker(placement.devices, placement.nodes, visible)


def _slots(threads: int, placement: Placement) -> list[str]:
    """`CUDA_VISIBLE_DEVICES` of each worker that there is room for."""
    return _device_slots(placement) or _core_slots(placement.devices * threads)


def _device_slots(placement: Placement) -> list[str]:
    """`CUDA_VISIBLE_DEVICES` of each worker; none on a CPU."""
    if placement.accelerator == "cpu" or placement.resolved == "cpu":
        return []
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
    size = placement.devices
    return [",".join(devices[i : i + size]) for i in range(0, len(devices) - size + 1, size)]


def _core_slots(cores_each: int) -> list[str]:
    """As many slots as there is room for, without a device."""
    return [""] * max(1, len(os.sched_getaffinity(0)) // cores_each)
