"""Averages of a run's weights: exponential, or the mean of its last checkpoints."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from curricle.core.jobs import AveragingSpec
from curricle.core.training_rules import first_averaged


class WeightAverage:
    """A running average of `parameters`; `tensors` holds it, in their order and on their devices.

    Both methods are one recurrence, average += weight * (parameters - average). The exponential
    average's decay grows as (1 + n) / (10 + n) over the first updates, so that the initial weights
    are soon forgotten; the mean of the last checkpoints has weight 1 / n at the n-th.
    """

    def __init__(self, spec: AveragingSpec, steps: int, parameters: Sequence[Tensor]) -> None:
        self._first = first_averaged(spec, steps) if spec.method == "last" else 0
        self._spec, self._parameters = spec, [parameter.detach() for parameter in parameters]
        self.tensors = [parameter.clone() for parameter in self._parameters]

    def update(self, done: int) -> None:
        """Take in the weights after `done` steps, if they count."""
        if weight := self._weight(done):
            torch._foreach_lerp_(self.tensors, self._parameters, weight)

    @contextlib.contextmanager
    def in_place(self, done: int) -> Iterator[None]:
        """Let the model have the average for its weights; to the bit the old ones afterwards.

        There is none yet before the first of the last checkpoints: it keeps its own until then.
        """
        if done < self._first:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for average, parameter in zip(self.tensors, self._parameters, strict=True):
            kept = average.clone()
            average.copy_(parameter)
            parameter.copy_(kept)

    def _weight(self, done: int) -> float:
        if self._spec.method == "ema":
            return 1.0 - min(self._spec.decay, (1 + done) / (10 + done))
        since = done - self._first
        if since < 0 or since % self._spec.every:
            return 0.0
        return 1.0 / (since // self._spec.every + 1)
