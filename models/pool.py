"""A pool of worker processes that keeps one machine busy with single-device jobs.

One process per core with one thread each beats one process with all threads on small models, and
start-up (seconds of imports) is paid once per worker.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from typing import IO, Any

from curricle.core.errors import InputError, JobError
from curricle.models.jobs import Job

LOG_LINES = 20
# glibc gives freed pages back to the kernel and faults them in again at every step; keeping them
# made a 2-layer, 64-wide training step 1.77x faster on two cores. It acts only on new processes.
MALLOC = (
    "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=67108864"
)


class JobPool:
    """Runs jobs in `workers` processes; `run` may be called from any number of threads."""

    def __init__(self, workers: int | None = None, threads: int = 1) -> None:
        cores = len(os.sched_getaffinity(0))
        self.size = workers or max(1, cores // threads)
        self._idle: queue.Queue[_Worker] = queue.Queue()
        for _ in range(self.size):
            self._idle.put(_Worker())

    def close(self) -> None:
        """End the workers, waiting for the jobs that are under way."""
        for _ in range(self.size):
            self._idle.get().stop()

    def run(self, job: Job) -> dict[str, Any]:
        """Run one job on the next free worker and return its facts.

        Raises InputError or JobError as the job did; JobError with the worker's last log lines if
        the process died, in which case another takes its place.
        """
        worker = self._idle.get()
        try:
            return worker.run(job)
        except _WorkerDiedError as death:
            worker.stop()
            worker = _Worker()
            raise JobError(f"{job.kind} job: {death}") from None
        finally:
            self._idle.put(worker)


class _WorkerDiedError(Exception):
    """The process ended without an answer."""


class _Worker:
    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment.setdefault("GLIBC_TUNABLES", MALLOC)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "curricle.models.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
            errors="replace",
            # The terminal's Ctrl-C is for the parent; a worker ends when its input closes.
            start_new_session=True,
        )
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        assert self._process.stderr is not None
        self._reader = threading.Thread(
            target=_collect, args=(self._process.stderr, self._log), daemon=True
        )
        self._reader.start()

    def run(self, job: Job) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job.to_message()) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise _WorkerDiedError(self._obituary())
        answer = json.loads(line)
        if "input_error" in answer:
            parts = answer["input_error"]
            raise InputError(parts["found"], expected=parts["expected"], fix=parts["fix"])
        if "error" in answer:
            raise JobError(answer["error"])
        return dict(answer["facts"])

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _obituary(self) -> str:
        status = self._process.wait()
        self._reader.join(timeout=1)
        lines = "\n".join(self._log) or "no output"
        return f"the worker process ended with status {status}; its last lines:\n{lines}"


def _collect(stream: IO[str], log: deque[str]) -> None:
    for line in stream:
        log.append(line.rstrip())
