"""The wish that a job stop: set by a signal or a closed input, looked at by loops between steps.

Each look shows as well that the job gets on, which loops that can't stop tell by `note_progress`. A
job that has told so once does it again at every step; one that is a single long call never does.
"""

import threading
import time

from curricle.core.errors import CurricleError

# What a last snapshot may take of a process that is to end.
SNAPSHOT_GRACE_SECONDS = 60.0
_requested = threading.Event()
_progress_at: float | None = None


class InterruptedJobError(CurricleError):
    """The job stopped because it was asked to; its snapshot lets it go on."""


def request_stop() -> None:
    """Ask the job of this process to leave a snapshot and stop."""
    _requested.set()


def stop_requested() -> bool:
    """Whether the job should stop at the next opportunity."""
    note_progress()
    return _requested.is_set()


def note_progress() -> None:
    """Say that the job of this process is another step further."""
    global _progress_at
    _progress_at = time.monotonic()


def begin_job() -> None:
    """Forget the progress of the job before."""
    global _progress_at
    _progress_at = None


def seconds_since_progress() -> float:
    """How long ago the job has told of progress; none while it hasn't told of any."""
    return 0.0 if _progress_at is None else time.monotonic() - _progress_at
