"""Tells when a training run has gone wrong: a loss or gradient that is no number, a spike."""

import math
import statistics
from collections import deque
from collections.abc import Sequence

WINDOW = 32


class LossGuard:
    """Looks at every step's loss; `recent` is its whole state."""

    def __init__(self, spike: float | None) -> None:
        self._spike = spike
        self.recent: deque[float] = deque(maxlen=WINDOW)

    def restore(self, recent: Sequence[float]) -> None:
        """Go on from an earlier guard's `recent`."""
        self.recent.extend(recent)

    def verdict(self, loss: float, gradient_norm: float = 0.0) -> str | None:
        """What is wrong with the next step's loss or gradient, or None.

        A spike is a loss further above the median of the last 32 steps than the limit, if there is
        one. A run that has diverged doesn't come back. One that meets a single batch of odd text
        may: it is stopped as well.
        """
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(gradient_norm):
            # The update has made the weights no numbers too: the next loss would show it too late.
            return f"the gradient's norm is {gradient_norm}"
        if self.recent and self._spike is not None:
            usual = statistics.median(self.recent)
            if loss > usual + self._spike:
                return f"the loss jumped from {usual:.3f} to {loss:.3f} nats"
        self.recent.append(loss)
        return None
