"""Intervals by resampling: refits from the optimum, all resampled data sets at once.

Two ways, each with the coverage of its use checked by simulation:

- **pairs**: points are drawn with replacement, as in the published intervals of the law in N and D.
  It assumes nothing about the noise, and suits a robust fit to a hundred points and more.
- **residuals**: fitted values plus resampled residuals. Left as they are these make intervals for a
  dozen sizes too narrow, for two reasons that have remedies. A fit with P of N points' freedom has
  residuals smaller than the errors: each is divided by sqrt(1 - leverage). And the noise level is
  itself an estimate: each resample has its own, drawn by sqrt(d / chi-squared with d = N - P
  degrees of freedom). For a linear law with normal errors the percentiles are then exactly
  Student's interval.
"""

import numpy as np
import numpy.typing as npt

from curricle.analysis.scaling.laws import Floats, Law
from curricle.analysis.scaling.solver import minimise

_TOLERANCE = 1e-9


def pairs_bootstrap(
    law: Law,
    log_loss: Floats,
    theta: Floats,
    count: int,
    random: np.random.Generator,
    delta: float,
    groups: npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Parameter vectors (count x P) of fits to points drawn with replacement.

    With `groups` (N, from 0 on) whole groups are drawn: points of one training run share its noise.
    """
    member_N = np.arange(len(log_loss)) if groups is None else groups
    total = int(member_N.max()) + 1
    draws_BG = random.multinomial(total, np.full(total, 1 / total), size=count)
    draws_BN = draws_BG[:, member_N].astype(float)
    starts = np.repeat(theta[None], count, axis=0)
    solution = minimise(law, log_loss, starts, weights=draws_BN, delta=delta, tolerance=_TOLERANCE)
    return np.asarray(solution.theta)


def residual_bootstrap(
    law: Law,
    log_loss: Floats,
    starts_KP: Floats,
    count: int,
    random: np.random.Generator,
) -> Floats:
    """Parameter vectors (count x P) of least-squares fits to fitted values plus resampled noise.

    `starts_KP` holds the optimum first, then other starts for laws with several local optima; the
    best of each resample's K fits counts.
    """
    value_1N, _ = law.log_loss(starts_KP[:1])
    noise_BN = _noise(law, log_loss, starts_KP[0], count, random)
    ways = len(starts_KP)
    data = np.repeat(value_1N + noise_BN, ways, axis=0)
    found = minimise(law, data, np.tile(starts_KP, (count, 1)), tolerance=_TOLERANCE)
    best = found.objective.reshape(count, ways).argmin(axis=1)
    shape = (count, ways, starts_KP.shape[1])
    return np.asarray(found.theta.reshape(shape)[np.arange(count), best])


def percentile_interval(draws_BP: Floats, confidence: float) -> Floats:
    """Lower and upper ends (2 x P); the quantiles of B draws are those of B + 1 equal gaps."""
    tail = (1 - confidence) / 2
    return np.asarray(np.quantile(draws_BP, [tail, 1 - tail], axis=0, method="weibull"))


def leverage(gradient_NP: Floats) -> Floats:
    """The diagonal of the hat matrix of the law linearised at its optimum (N)."""
    basis, singular, _ = np.linalg.svd(gradient_NP, full_matrices=False)
    kept = basis[:, singular > singular[0] * 1e-10]
    return np.asarray((kept**2).sum(axis=1))


def _noise(
    law: Law, log_loss: Floats, theta: Floats, count: int, random: np.random.Generator
) -> Floats:
    value_1N, gradient_1NP = law.log_loss(theta[None])
    points, width = gradient_1NP.shape[1:]
    # A point that the fit must pass through (leverage 1) tells nothing about the noise.
    free = np.maximum(1 - leverage(gradient_1NP[0]), 0.05)
    residual = (log_loss - value_1N[0]) / np.sqrt(free)
    residual -= residual.mean()
    freedom = points - width
    scale_B1 = np.sqrt(freedom / random.chisquare(freedom, size=(count, 1)))
    return np.asarray(residual[random.integers(0, points, (count, points))] * scale_B1)
