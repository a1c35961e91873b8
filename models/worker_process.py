"""One worker process, seen from the process that feeds it."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any

from curricle.models.answers import STILL, facts_of

LOG_LINES = 20
# A worker tells every five seconds that it lives; no step of a job takes as long as half an hour.
MOST_SILENT_SECONDS = 600.0
MOST_STILL_SECONDS = 1800.0
STOP_SECONDS = 90
# glibc gives freed pages back to the kernel and faults them in again at every step; keeping them
# made a 2-layer, 64-wide training step 1.77x faster on two cores. It acts only on new processes.
MALLOC = (
    "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=67108864"
)


class WorkerDiedError(Exception):
    """The process ended without an answer, or hangs."""


class WorkerProcess:
    """A process that answers jobs, one at a time.

    `visible` names its CUDA devices; empty leaves them as they are.
    """

    def __init__(self, visible: str = "") -> None:
        self._visible = visible
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "curricle.models.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(visible),
            text=True,
            encoding="utf-8",
            errors="replace",
            # The terminal's Ctrl-C is for the parent; a worker ends when its input closes.
            start_new_session=True,
        )
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._told: queue.Queue[str] = queue.Queue()
        assert self._process.stderr is not None
        assert self._process.stdout is not None
        self._reader = _in_background(_collect, self._process.stderr, self._log)
        _in_background(_pass_on, self._process.stdout, self._told)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def run(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of the job in `message`. Raises as the job did, or WorkerDiedError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerDiedError(self._obituary()) from None
        while (still := (told := self._next_told()).get(STILL)) is not None:
            if still > MOST_STILL_SECONDS:
                raise WorkerDiedError(f"the job has made no progress for {still:.0f} s")
        return facts_of(told)

    def _next_told(self) -> dict[str, Any]:
        try:
            line = self._told.get(timeout=MOST_SILENT_SECONDS)
        except queue.Empty:
            silence = f"no sign of life from the worker process for {MOST_SILENT_SECONDS:.0f} s"
            raise WorkerDiedError(silence) from None
        if not line:
            raise WorkerDiedError(self._obituary())
        told: dict[str, Any] = json.loads(line)
        return told

    def stop(self) -> None:
        """Close its input and wait until it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def leave(self) -> None:
        """Close its input, and let it end by itself after a last snapshot."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> None:
        """End it at once, whatever it is at."""
        self._process.kill()
        self._process.wait()

    def successor(self) -> "WorkerProcess":
        """A new process in the place of this one."""
        return WorkerProcess(self._visible)

    def _obituary(self) -> str:
        status = self._process.wait()
        self._reader.join(timeout=1)
        lines = "\n".join(self._log) or "no output"
        return f"the worker process ended with status {status}; its last lines:\n{lines}"


def worker_environment(visible: str) -> dict[str, str]:
    """The environment of a process that runs jobs."""
    return {**os.environ, **worker_settings(visible)}


def worker_settings(visible: str) -> dict[str, str]:
    """What it has beside this process's own: one thread unless told, memory kept."""
    settings = {
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", MALLOC),
    }
    return {**settings, "CUDA_VISIBLE_DEVICES": visible} if visible else settings


def _in_background(function: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def _pass_on(stream: IO[str], told: "queue.Queue[str]") -> None:
    """Each line, and an empty one at the end."""
    for line in stream:
        told.put(line)
    told.put("")


def _collect(stream: IO[str], log: deque[str]) -> None:
    for line in stream:
        log.append(line.rstrip())
