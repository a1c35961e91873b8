"""How far recipes' noise goes beyond the variance that is pooled over them.

Three seeds can't tell whether a recipe is noisy: of eight equal ones the largest sample variance is
nearly three times the pooled one on the average. A test at 5 % therefore misses a recipe with five
times the others' noise in every fourth study, and too many intervals of those miss the truth. So
there is no such test; noise is added as it shows:

- A recipe whose own variance exceeds the pooled one by more than chance gives 24 % of recipes has
  the rest of it as an **excess**, on its own degrees of freedom. Nobody is taken to be quieter than
  the pool: two or three seeds look quiet by chance often enough.
- Where the variances of all together are more dispersed than chance makes 24 % of tables, a recipe
  without excess may still be a noisy one that looked quiet. Variances then have a prior around the
  pooled one, scaled inverse chi-squared on d0 degrees of freedom (Smyth 2004); d0 is infinite
  otherwise.

Without either the pooled variance stands as it is. Smyth estimates d0 from the variances'
logarithms; here it is their cube roots, which are nearly normal (Wilson & Hilferty 1931) where the
logarithm of two degrees of freedom has a long tail towards zero. `docs/ranking.md` has what this
and other rules cover, and what it costs.

A recipe's own variance is corrected for what the others' noise does to its residuals by way of the
seeds' effects. With C_i the centring matrix of its runs and W = sum of C_i, its sum of squared
residuals has the expectation (n_i - 1 - 2 h_i) variance_i + sum_j tr(C_i W^- C_j W^-) variance_j,
h_i = tr(C_i W^-), whose sum is taken at the pooled variance (exact in a balanced table).

Shape suffixes: R recipes, S seeds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import chi2, norm

from curricle.analysis.additive_model import AdditiveFit

Floats = npt.NDArray[np.float64]

_BY_CHANCE = 0.24
"""What so large a share of equal recipes, or of tables of them, exceeds by chance adds no noise."""

_FEWEST = 3
"""Two recipes that share seeds have the same residuals but for the sign."""

_LEAST = 0.25
"""Least share of a recipe's degrees of freedom that must be its own for an own variance."""

_AS_GOOD_AS_EQUAL = 1e5
"""A prior on more degrees of freedom is taken to be infinite."""

_SINGULAR = 1e-9


@dataclass(frozen=True)
class UnequalNoise:
    """What to add to the pooled variance for R recipes.

    `excess` (R,) is the variance of one run beyond the pooled one, estimated on
    `degrees_of_freedom` (R,), one at least. `factor` (R, S) times its transpose is the covariance
    of means that excesses make through the seeds' effects, zero in a balanced table. `prior` is d0.
    """

    excess: Floats
    degrees_of_freedom: Floats
    factor: Floats
    prior: float


def unequal_noise(values_RS: Floats, fit: AdditiveFit) -> UnequalNoise:
    """Judge the residuals of `fit`, the additive fit of `values_RS`."""
    count, seeds = values_RS.shape
    own_df = fit.runs - 1
    nothing = UnequalNoise(np.zeros(count), np.maximum(own_df, 1), np.zeros((count, seeds)), np.inf)
    if not fit.variance or count < _FEWEST:
        return nothing
    present = np.isfinite(values_RS)
    inverse = _inverse(present, fit)
    residuals = np.where(present, values_RS - fit.means[:, None] - fit.effects, 0.0)
    squares, leverage = (residuals**2).sum(axis=1), _leverage(present, fit.runs, inverse)
    excess = _excess(squares, leverage, own_df, fit.variance)
    return UnequalNoise(
        excess=excess,
        degrees_of_freedom=nothing.degrees_of_freedom,
        factor=nothing.factor if present.all() else _factor(present, fit.runs, inverse, excess),
        prior=_prior(squares, leverage, own_df),
    )


def _inverse(present: npt.NDArray[np.bool_], fit: AdditiveFit) -> Floats:
    """W^- (S, S); zero where the model has no seeds."""
    incidence = present.astype(float)
    if not fit.blocked:
        return np.zeros((present.shape[1], present.shape[1]))
    reduced = np.diag(incidence.sum(axis=0)) - incidence.T @ (incidence / fit.runs[:, None])
    return np.asarray(np.linalg.pinv(reduced, rcond=_SINGULAR, hermitian=True))


def _leverage(present: npt.NDArray[np.bool_], runs: Floats, inverse: Floats) -> Floats:
    incidence = present.astype(float)
    quadratic = ((incidence @ inverse) * incidence).sum(axis=1)
    return np.asarray(incidence @ np.diag(inverse) - quadratic / runs)


def _excess(squares: Floats, leverage: Floats, own_df: Floats, pooled: float) -> Floats:
    share = own_df - 2 * leverage
    known = (own_df > 0) & (share > _LEAST * own_df)
    own = (squares - pooled * leverage) / np.where(known, share, 1.0)
    degrees = np.maximum(own_df, 1)
    by_chance = pooled * chi2.isf(_BY_CHANCE, degrees) / degrees
    return np.where(known, np.maximum(own - by_chance, 0.0), 0.0)


def _prior(squares: Floats, leverage: Floats, own_df: Floats) -> float:
    """d0, by the relative variance of the cube roots of the sample variances.

    1 + it is the product of E[y^2] / E[y]^2 over both chi-squared: the sample's,
    y = (chi-squared / df)^(1/3), and the prior's, y = (chi-squared / d0)^(-1/3).
    """
    known = own_df - leverage > _LEAST * own_df
    if known.sum() < _FEWEST:
        return np.inf
    df = own_df[known]
    logarithms = [gammaln(df / 2 + k / 3) - gammaln(df / 2) for k in (1, 2)]
    # The mean of all is 1 times the same number, whatever their degrees of freedom.
    roots = np.cbrt(squares[known] / (df - leverage[known]) * df / 2) / np.exp(logarithms[0])
    sampling = float(np.expm1(logarithms[1] - 2 * logarithms[0]).mean())
    chance = sampling * (1 + norm.isf(_BY_CHANCE) * np.sqrt(2 / (len(df) - 1)))
    found = float(roots.var(ddof=1) / roots.mean() ** 2)
    return _degrees_of((1 + found) / (1 + chance) - 1)


def _degrees_of(relative_variance: float) -> float:
    """The degrees of freedom at which chi-squared^(-1/3) has this relative variance."""

    def beyond(logarithm: float) -> float:
        half = 2 / 3 + np.exp(logarithm)
        ends = gammaln(half - 2 / 3) + gammaln(half)
        return float(np.expm1(ends - 2 * gammaln(half - 1 / 3))) - relative_variance

    low, high = -30.0, np.log(_AS_GOOD_AS_EQUAL / 2)
    if beyond(high) >= 0:
        return np.inf
    return float(2 * (2 / 3 + np.exp(brentq(beyond, low, high))))


def _factor(
    present: npt.NDArray[np.bool_], runs: Floats, inverse: Floats, excess: Floats
) -> Floats:
    """A W^- (sum of excess_k C_k)^(1/2), A (R, S) the runs' shares in the means."""
    incidence = present.astype(float)
    weighted = incidence * excess[:, None]
    inner = np.diag(weighted.sum(axis=0)) - weighted.T @ (incidence / runs[:, None])
    values, vectors = np.linalg.eigh(inner)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    return np.asarray(incidence / runs[:, None] @ inverse @ root)
