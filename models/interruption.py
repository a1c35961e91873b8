"""The wish that a job stop: set by a signal or a closed input, looked at by loops between steps."""

import threading

from curricle.core.errors import CurricleError

_requested = threading.Event()


class InterruptedJobError(CurricleError):
    """The job stopped because it was asked to; its snapshot lets it go on."""


def request_stop() -> None:
    """Ask the job of this process to leave a snapshot and stop."""
    _requested.set()


def stop_requested() -> bool:
    """Whether the job should stop at the next opportunity."""
    return _requested.is_set()
