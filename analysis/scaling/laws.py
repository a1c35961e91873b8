"""Laws as functions of unconstrained parameters: log loss and exact gradient, many sets at once.

Shape suffixes: S parameter sets, N points, P parameters, K terms. A parameter vector holds the
logarithm of what must be positive; `natural` undoes that.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST_LOG = 690.0
"""What an ill-conditioned fit may run off to and still be a finite number."""


class Law(Protocol):
    """What a fit needs of a law that is bound to its N points."""

    @property
    def names(self) -> tuple[str, ...]:
        """The P natural parameters, in the order of a parameter vector."""

    def log_loss(self, theta_SP: Floats) -> tuple[Floats, Floats]:
        """The logarithm of the loss at every point (S x N), and its gradient (S x N x P)."""

    def natural(self, theta_SP: Floats) -> Floats:
        """Parameter vectors as the law's own parameters (S x P)."""


@dataclass(frozen=True)
class SumOfPowers:
    """log L = log-sum-exp over k of design[k] @ theta: sums of a constant and of powers.

    `positive` marks the parameters that are kept as logarithms.
    """

    names: tuple[str, ...]
    positive: npt.NDArray[np.bool_]
    design: Floats

    def log_loss(self, theta_SP: Floats) -> tuple[Floats, Floats]:
        """See `Law`. The gradient is the terms' shares of the loss times their design."""
        terms, points, width = self.design.shape
        exponent_SKN = theta_SP @ self.design.reshape(-1, width).T
        exponent_SKN = exponent_SKN.reshape(-1, terms, points)
        top_S1N = exponent_SKN.max(axis=1, keepdims=True)
        share_SKN = np.exp(exponent_SKN - top_S1N)
        total_S1N = share_SKN.sum(axis=1, keepdims=True)
        share_SKN /= total_S1N
        gradient_NSP = share_SKN.transpose(2, 0, 1) @ self.design.transpose(1, 0, 2)
        return (np.log(total_S1N) + top_S1N)[:, 0], gradient_NSP.transpose(1, 0, 2)

    def natural(self, theta_SP: Floats) -> Floats:
        """See `Law`."""
        return np.where(self.positive, np.exp(np.minimum(theta_SP, LARGEST_LOG)), theta_SP)


def power_law(x: Floats) -> SumOfPowers:
    """L = A x^-alpha + E at the points `x`."""
    design = np.zeros((2, len(x), 3))
    design[0, :, 0], design[0, :, 2] = 1.0, -np.log(x)
    design[1, :, 1] = 1.0
    return SumOfPowers(("A", "E", "alpha"), np.array([True, True, False]), design)


def chinchilla_law(parameters: Floats, tokens: Floats) -> SumOfPowers:
    """L = A N^-alpha + B D^-beta + E at the points (N, D) (Hoffmann et al. 2022, approach 3)."""
    design = np.zeros((3, len(parameters), 5))
    design[0, :, 0], design[0, :, 3] = 1.0, -np.log(parameters)
    design[1, :, 1], design[1, :, 4] = 1.0, -np.log(tokens)
    design[2, :, 2] = 1.0
    positive = np.array([True, True, True, False, False])
    return SumOfPowers(("A", "B", "E", "alpha", "beta"), positive, design)


def grouped_power_law(
    x: Floats, group: npt.NDArray[np.int64], labels: Sequence[str], *, shared: bool
) -> SumOfPowers:
    """A power law per group, L = A_g x^-alpha_g + E_g, or with one E for all if `shared`.

    The order is A and alpha of every group, then the irreducible terms.
    """
    groups, points = len(labels), np.arange(len(x))
    design = np.zeros((2, len(x), 2 * groups + (1 if shared else groups)))
    design[0, points, group] = 1.0
    design[0, points, groups + group] = -np.log(x)
    design[1, points, 2 * groups + (0 if shared else group)] = 1.0
    names = [f"{name}[{label}]" for name in ("A", "alpha") for label in labels]
    names += ["E"] if shared else [f"E[{label}]" for label in labels]
    positive = np.array([not name.startswith("alpha") for name in names])
    return SumOfPowers(tuple(names), positive, design)


def chinchilla_starts() -> Floats:
    """The 4,500 published starts: alpha, beta in 0..2, e in -1..1, a, b in 0..25 (x 5)."""
    exponent, level = np.arange(0.0, 2.1, 0.5), np.arange(0.0, 26.0, 5.0)
    floor = np.arange(-1.0, 1.1, 0.5)
    return np.array(list(itertools.product(level, level, floor, exponent, exponent)))


def power_starts(x: Floats, loss: Floats) -> Floats:
    """Starts (56 x 3) that spread over exponents and over E as a share of the smallest loss.

    A is the one that suits the points (their median) given the two others.
    """
    exponents = (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 2.0)
    shares = (1e-3, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995)
    rows = [
        (np.median(np.log(loss - share * loss.min()) + alpha * np.log(x)), share, alpha)
        for alpha, share in itertools.product(exponents, shares)
    ]
    starts = np.array(rows)
    starts[:, 1] = np.log(starts[:, 1] * loss.min())
    return starts
