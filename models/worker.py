"""A worker process: reads jobs as JSON lines from standard input, answers each with one line.

It lives as long as its parent: when standard input closes, because the parent ended or was killed,
or when it is asked to end (SIGTERM), the job under way leaves a snapshot and the process ends.
While a job is under way it tells every few seconds how long that has made no progress.
"""

import gc
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
from typing import IO, Any

from curricle.core.memory import collect_from_here_on
from curricle.models.answers import STILL, answer
from curricle.models.interruption import (
    SNAPSHOT_GRACE_SECONDS,
    begin_job,
    request_stop,
    seconds_since_progress,
    stop_requested,
)

BEAT_SECONDS = 5.0
_busy = threading.Event()
_busy_with_unfinished = threading.Event()


def main() -> None:
    """Serve jobs until standard input closes."""
    # Whatever a library prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(sys.stdin, jobs), daemon=True).start()
    lock = threading.Lock()
    threading.Thread(target=_beat, args=(answers, lock), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: leave())
    _warm_up()
    collect_from_here_on()
    while not stop_requested():
        message = jobs.get()
        if message["placement"]["unfinished"] is not None:
            _busy_with_unfinished.set()
        begin_job()
        _busy.set()
        reply = answer(message)
        _busy.clear()
        _tell(answers, lock, reply)
        _busy_with_unfinished.clear()
        # A run lies in cycles: without this, its weights are there while the next one trains.
        gc.collect()


def leave() -> None:
    """End the process, once the job under way (if it can) has left a snapshot."""
    request_stop()
    threading.Thread(target=_exit_when_idle).start()


def _beat(answers: IO[str], lock: threading.Lock) -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        if _busy.is_set():
            _tell(answers, lock, {STILL: seconds_since_progress()})


def _tell(answers: IO[str], lock: threading.Lock, line: dict[str, Any]) -> None:
    with lock:
        answers.write(json.dumps(line) + "\n")
        answers.flush()


def _exit_when_idle() -> None:
    deadline = time.monotonic() + SNAPSHOT_GRACE_SECONDS
    while _busy_with_unfinished.is_set() and time.monotonic() < deadline:
        time.sleep(0.05)
    os._exit(0)


def _read_jobs(stream: IO[str], jobs: "queue.Queue[dict[str, Any]]") -> None:
    for line in stream:
        jobs.put(json.loads(line))
    leave()


def _warm_up() -> None:
    """Import what takes seconds while the first job is still being prepared."""
    importlib.import_module("curricle.models.training")


if __name__ == "__main__":
    main()
