"""A proxy before the S3 server: it sees what is stored, and fails or slows down when told to."""

import itertools
import threading
import time
from collections import Counter

from tests.faulty_proxy import FaultyProxy

SLOWED_SECONDS = 5.0


class StoreWitness(FaultyProxy):
    """Counts how often each artifact's record is written."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.records: Counter[str] = Counter()
        self.failed, self.slowed = 0, 0
        self._one_in: int | None = None
        self._slow_until = 0.0
        self._requests = itertools.count(1)
        self._lock = threading.Lock()

    def fail_one_in(self, requests: int | None) -> None:
        """From now on one request in so many fails, with 500 and 503 in turn; None ends it."""
        self._one_in = requests

    def slow_down(self, seconds: float) -> None:
        """For so long every request waits before it is passed on."""
        self._slow_until = time.monotonic() + seconds

    def fails_now(self, address: str) -> bool:
        """Whether this request fails; one that doesn't is noted."""
        if time.monotonic() < self._slow_until:
            self.slowed += 1
            time.sleep(SLOWED_SECONDS)
        with self._lock:
            if self._one_in is not None and next(self._requests) % self._one_in == 0:
                self.failed += 1
                self.status = 500 if self.failed % 2 else 503
                return True
            method, path = address.split(" ")
            if method == "PUT" and path.endswith("/record.json"):
                self.records[path] += 1
        return False

    def stored(self, study: str, kind: str = "") -> dict[str, int]:
        """How often each artifact of a study's store was written, or each of one kind."""
        return {path: n for path, n in self.records.items() if f"/{study}/{kind}" in path}
