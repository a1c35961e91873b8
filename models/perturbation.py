"""How the loss changes at some distance from the weights: SAM, adaptive SAM, critical sharpness.

These need a gradient and a few forward passes, no Hessian. P stands for all parameters together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_DOUBLINGS = 60
_BISECTIONS = 6
"""Six halvings of a factor of two place the critical step within 0.8 %."""


class Line:
    """The loss along straight lines from a model's weights, which are put back after each look.

    `loss` gives the loss at the present values of `parameters`; `looks` counts its calls.
    """

    def __init__(self, loss: Callable[[], float], parameters: Sequence[nn.Parameter]) -> None:
        self._loss, self._parameters = loss, parameters
        self._parts = [parameter.detach().clone() for parameter in parameters]
        self._sizes = [parameter.numel() for parameter in parameters]
        self.looks = 1
        self.start = loss()

    def at(self, step_P: Tensor) -> float:
        """The loss at the weights plus `step_P`."""
        self.looks += 1
        try:
            self._move(step_P)
            return self._loss()
        finally:
            self._move(None)

    @torch.no_grad()
    def _move(self, step_P: Tensor | None) -> None:
        parts = [None] * len(self._sizes) if step_P is None else torch.split(step_P, self._sizes)
        for parameter, origin, part in zip(self._parameters, self._parts, parts, strict=True):
            parameter.copy_(origin if part is None else origin + part.view_as(origin))

    @property
    def origin(self) -> Tensor:
        """The weights themselves, shape (P,)."""
        return torch.cat([part.reshape(-1) for part in self._parts])


@dataclass(frozen=True)
class Critical:
    """`sharpness` is 2 / `step`; both None where no step raises the loss."""

    sharpness: float | None
    step: float | None


def sam_sharpness(line: Line, gradient_P: Tensor, radius: float) -> float:
    """Rise of the loss in SAM's step, L(w + radius g / |g|) - L(w).

    The first-order estimate of the largest rise in the L2 ball of that radius (Foret et al., arXiv
    2010.01412). 0 where the gradient is.
    """
    return _rise(line, gradient_P, gradient_P.norm(), radius)


def adaptive_sam_sharpness(line: Line, gradient_P: Tensor, radius: float) -> float:
    """Rise of the loss in adaptive SAM's step, L(w + radius T^2 g / |T g|) - L(w), T = diag(|w|).

    The ball is measured in units of each weight's size, so that rescaling a layer against the next
    changes nothing (Kwon et al., arXiv 2102.11600, element-wise, their eta 0).
    """
    scale_P = line.origin.abs()
    scaled_P = scale_P * gradient_P
    return _rise(line, scale_P * scaled_P, scaled_P.norm(), radius)


def critical_sharpness(line: Line, update_P: Tensor, first_step: float) -> Critical:
    """2 / eta_c, eta_c the smallest step along `-update_P` after which the loss is higher.

    Kalra et al., arXiv 2601.16979. For a quadratic loss and its gradient it is the curvature along
    the gradient, at most the largest eigenvalue. The step is bracketed from `first_step` by
    doubling or halving and then bisected; needs forward passes alone. A rise between two steps that
    both lower the loss is not seen.
    """

    def raises(step: float) -> bool:
        # A loss that is no number any more is no lower one.
        return not line.at(-step * update_P) <= line.start

    step = first_step
    factor = 0.5 if raises(step) else 2.0
    for _ in range(_DOUBLINGS):
        step *= factor
        if raises(step) == (factor == 2.0):
            break
    else:
        return Critical(None, None)
    low, high = (step, 2 * step) if factor == 0.5 else (step / 2, step)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if raises(middle) else (middle, high)
    step = (low + high) / 2
    return Critical(2 / step, step)


def _rise(line: Line, direction_P: Tensor, norm: Tensor, radius: float) -> float:
    length = float(norm)
    if length == 0.0 or math.isnan(length):
        return length
    return line.at(direction_P * (radius / length)) - line.start
