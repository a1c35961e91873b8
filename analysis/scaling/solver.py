"""Least squares and Huber fits from many starts, or of many resampled data sets, at once.

Levenberg-Marquardt on the quadratic that lies above Huber's loss and touches it at the present
residual (weights min(1, delta / |r|)): every step needs the exact gradient alone, and all parameter
sets take it together as one batched solve. Against one quasi-Newton run after the other this is
what makes the published 4,500 starts affordable; it ends in the same optimum.
"""

from dataclasses import dataclass

import numpy as np

from curricle.analysis.scaling.laws import Floats, Law

LEAST_SQUARES = np.inf

_ROUNDS = ((4, 0.3), (8, 0.3), (20, 0.1))
"""Steps, and the share of starts that goes on after them."""
_FEWEST_STARTS = 24
_MOST_STEPS = 400
_LONGEST_STEP = 5.0
_HOPELESS_DAMPING = 1e10
_TINY = 1e-300


@dataclass(frozen=True)
class Solution:
    """Parameter vectors (S x P) with the summed loss of each (S)."""

    theta: Floats
    objective: Floats

    @property
    def best(self) -> int:
        """Index of the smallest objective."""
        return int(np.argmin(self.objective))


def huber(residual: Floats, delta: float) -> Floats:
    """r^2 / 2 up to |r| = delta, and its tangent beyond; the square alone for `LEAST_SQUARES`."""
    size = np.abs(residual)
    inner = np.minimum(size, delta)
    return inner * (size - 0.5 * inner)


def minimise(
    law: Law,
    log_loss: Floats,
    starts_SP: Floats,
    *,
    weights: Floats | None = None,
    delta: float = LEAST_SQUARES,
    steps: int = _MOST_STEPS,
    tolerance: float = 1e-15,
) -> Solution:
    """Minimise sum(weights * huber(law - log_loss)) from every start.

    `log_loss` and `weights` are N, or S x N to fit a data set per start. A start is done when a
    step lowers its objective by less than `tolerance` of it, or when no step lowers it at all.
    """
    theta_SP = starts_SP.astype(float)
    shape = (len(theta_SP), log_loss.shape[-1])
    log_loss_SN = np.broadcast_to(log_loss, shape)
    weights_SN = np.broadcast_to(1.0 if weights is None else weights, shape)
    value_SN, gradient_SNP = law.log_loss(theta_SP)
    residual_SN = value_SN - log_loss_SN
    objective_S = (weights_SN * huber(residual_SN, delta)).sum(axis=1)
    damping_S = np.full(len(theta_SP), 1e-2)
    active = np.arange(len(theta_SP))
    for _ in range(steps):
        step_SP = _step(
            gradient_SNP[active], residual_SN[active], weights_SN[active], damping_S[active], delta
        )
        moved_SP = theta_SP[active] + step_SP
        value_SN, slope_SNP = law.log_loss(moved_SP)
        moved_SN = value_SN - log_loss_SN[active]
        reached_S = (weights_SN[active] * huber(moved_SN, delta)).sum(axis=1)
        gain_S = objective_S[active] - reached_S
        lower = gain_S >= 0
        accepted = active[lower]
        theta_SP[accepted], gradient_SNP[accepted] = moved_SP[lower], slope_SNP[lower]
        residual_SN[accepted], objective_S[accepted] = moved_SN[lower], reached_S[lower]
        damping_S[active] = np.maximum(damping_S[active] * np.where(lower, 0.3, 4.0), 1e-12)
        done = lower & (gain_S <= tolerance * reached_S)
        active = active[~done & (damping_S[active] < _HOPELESS_DAMPING)]
        if not active.size:
            break
    return Solution(theta_SP, objective_S)


def search(
    law: Law,
    log_loss: Floats,
    starts_SP: Floats,
    *,
    delta: float = LEAST_SQUARES,
    prune: bool = True,
) -> Solution:
    """`minimise` from a grid of starts; with `prune` the hopeless ones are given up in rounds."""
    for steps, share in _ROUNDS if prune else ():
        early = minimise(law, log_loss, starts_SP, delta=delta, steps=steps)
        keep = max(_FEWEST_STARTS, round(len(starts_SP) * share))
        starts_SP = early.theta[np.argsort(early.objective, kind="stable")[:keep]]
    return minimise(law, log_loss, starts_SP, delta=delta)


def _step(
    gradient_SNP: Floats, residual_SN: Floats, weights_SN: Floats, damping_S: Floats, delta: float
) -> Floats:
    """The damped step of every set, shortened to `_LONGEST_STEP` in each parameter."""
    pull_SN = weights_SN
    if np.isfinite(delta):
        pull_SN = weights_SN * np.minimum(1.0, delta / np.maximum(np.abs(residual_SN), _TINY))
    weighted_SPN = (gradient_SNP * pull_SN[..., None]).transpose(0, 2, 1)
    slope_SP1 = weighted_SPN @ residual_SN[..., None]
    matrix_SPP = weighted_SPN @ gradient_SNP
    diagonal_SP = np.einsum("spp->sp", matrix_SPP)
    largest_S1 = diagonal_SP.max(axis=1, keepdims=True)
    diagonal_SP += damping_S[:, None] * (diagonal_SP + 1e-9 * largest_S1) + _TINY
    step_SP = np.linalg.solve(matrix_SPP, -slope_SP1)[..., 0]
    return np.clip(step_SP, -_LONGEST_STEP, _LONGEST_STEP)
