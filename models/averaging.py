"""Averages of a run's weights: exponential, or the mean of its last checkpoints."""

from collections.abc import Sequence

import torch
from torch import Tensor

from curricle.core.errors import InputError
from curricle.core.jobs import AveragingSpec

METHODS = ("ema", "last")


class WeightAverage:
    """A running average of `parameters`; `tensors` holds it, in their order and on their devices.

    Both methods are one recurrence, average += weight * (parameters - average). The exponential
    average's decay grows as (1 + n) / (10 + n) over the first updates, so that the initial weights
    are soon forgotten; the mean of the last checkpoints has weight 1 / n at the n-th. Raises
    InputError for an unknown method or more checkpoints than the run has steps for.
    """

    def __init__(self, spec: AveragingSpec, steps: int, parameters: Sequence[Tensor]) -> None:
        if spec.method not in METHODS:
            raise InputError(
                f"averaging method {spec.method!r}", expected=f"one of {METHODS}", fix="choose one"
            )
        self._first = steps - (spec.checkpoints - 1) * spec.every
        if spec.method == "last" and self._first < 1:
            raise InputError(
                f"{spec.checkpoints} checkpoints every {spec.every} steps in a run of {steps}",
                expected="an average that fits the run",
                fix="lower averaging.checkpoints or averaging.every",
            )
        self._spec, self._parameters = spec, [parameter.detach() for parameter in parameters]
        self.tensors = [parameter.clone() for parameter in self._parameters]

    def update(self, done: int) -> None:
        """Take in the weights after `done` steps, if they count."""
        if weight := self._weight(done):
            torch._foreach_lerp_(self.tensors, self._parameters, weight)

    def _weight(self, done: int) -> float:
        if self._spec.method == "ema":
            return 1.0 - min(self._spec.decay, (1 + done) / (10 + done))
        since = done - self._first
        if since < 0 or since % self._spec.every:
            return 0.0
        return 1.0 / (since // self._spec.every + 1)
