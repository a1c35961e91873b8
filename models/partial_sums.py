"""Sums over a long list of batches that survive a kill: the snapshots of an evaluation."""

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from curricle.models.interruption import InterruptedJobError, stop_requested
from curricle.models.placement import Placement
from curricle.models.snapshots import Snapshots

Floats = npt.NDArray[np.float64]


class PartialSums:
    """Keeps an array of sums and the number of batches that have gone into it.

    `identity` is a fingerprint of what decides the sums and the batches; sums that were kept for
    another are not used.
    """

    def __init__(self, placement: Placement, identity: str, output: Path) -> None:
        self._snapshots = Snapshots(placement.unfinished, identity)
        self._output = output
        self._seconds = placement.snapshot_seconds
        self._kept_at = time.monotonic()

    def restore(self) -> tuple[int, Floats] | None:
        """The batches that are done and their sums, if any were kept."""
        snapshot = self._snapshots.latest(self._output)
        return (snapshot.step, snapshot.tensors["sums"].numpy()) if snapshot else None

    def look(self, done: int, total: int, sums: Floats) -> None:
        """Keep the sums after `done` of `total` batches if that is overdue, or a stop is wished.

        Raises InterruptedJobError in the second case.
        """
        if done == total:
            return
        stop = stop_requested()
        if stop or time.monotonic() - self._kept_at > self._seconds:
            self._snapshots.save(done, {"sums": torch.from_numpy(sums)}, {})
            self._kept_at = time.monotonic()
        if stop:
            raise InterruptedJobError(f"stopped on request after {done} of {total} batches")
