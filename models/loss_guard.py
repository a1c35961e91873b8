"""Tells when a training run has gone wrong: a loss or gradient that is no number, a spike."""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

WINDOW = 32


@dataclass(frozen=True)
class Problem:
    """What is wrong, and with how many of the last steps."""

    reason: str
    steps: int = 1


class LossGuard:
    """Looks at every step's loss; `recent` is its whole state."""

    def __init__(self, spike: float | None) -> None:
        self._spike = spike
        self.recent: deque[float] = deque(maxlen=WINDOW + 1)

    def restore(self, recent: Sequence[float]) -> None:
        """Go on from an earlier guard's `recent`."""
        self.recent.extend(recent)

    def verdict(self, loss: float, gradient_norm: float = 0.0) -> Problem | None:
        """What is wrong with the next step's loss or gradient, or None.

        A spike is two losses in a row further above the median of the 32 before them than the
        limit, if there is one. A run that has diverged stays there; a single batch of odd text
        costs as much once, and the next loss is as usual.
        """
        if not math.isfinite(loss):
            return Problem(f"the loss is {loss}")
        if not math.isfinite(gradient_norm):
            # The update has made the weights no numbers too: the next loss would show it too late.
            return Problem(f"the gradient's norm is {gradient_norm}")
        problem = self._spike_to(loss)
        self.recent.append(loss)
        return problem

    def _spike_to(self, loss: float) -> Problem | None:
        if self._spike is None or len(self.recent) < 2:
            return None
        usual = statistics.median(islice(self.recent, len(self.recent) - 1))
        last = self.recent[-1]
        if min(last, loss) <= usual + self._spike:
            return None
        return Problem(
            f"the loss jumped from {usual:.3f} nats to {last:.3f} and {loss:.3f}", steps=2
        )
