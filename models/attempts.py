"""How long the job of this process has taken, with the attempts that were interrupted before.

Snapshots carry it on. What an attempt did after its last snapshot is done again and counts once.
"""

import time

EARLIER = "earlier_seconds"
"""What a job's facts call the time of earlier attempts."""

_begun_at: float | None = None
_earlier = 0.0


def begin_attempt() -> None:
    """Start the clock of another job, or of another attempt at one."""
    global _begun_at, _earlier
    _begun_at, _earlier = time.monotonic(), 0.0


def go_on_after(seconds: float) -> None:
    """Count the seconds of the attempts before, which a snapshot tells."""
    global _earlier
    _earlier = seconds


def earlier_seconds() -> float:
    """What the attempts before this one took, up to the snapshot that it goes on from."""
    return _earlier


def seconds_so_far() -> float:
    """What all attempts took; none where nobody has started the clock."""
    return 0.0 if _begun_at is None else _earlier + time.monotonic() - _begun_at
