"""All pairwise differences between recipes, with simultaneous intervals.

Candidates share one error variance, pooled over all of them: with three seeds a recipe's own would
have two degrees of freedom. Controls are made to be different, so nothing lets us assume that they
are as noisy as candidates: they neither enter the pool nor borrow from it. A pair with a control
has an interval of Games and Howell's kind (1976): each side's own variance, degrees of freedom by
Welch and Satterthwaite. A control's variance is never taken to be smaller than the candidates',
since two or three seeds look quiet by chance often enough.

Pairs of candidates are one family and pairs with a control another; each holds jointly at the
given confidence. What a study asks of its controls is planned, though: does each differ from one
recipe, the baseline? For that question alone the family is as large as the number of controls
(Bonferroni). Among all pairs three seeds leave a factor of 7 or more on the standard error, too
blunt to see a control lose by ten times the candidates' noise with every seed.

Where values were measured on documents, what another sample of documents would change is a second,
independent part of every difference's variance. Its degrees of freedom join those of the seeds by
Welch and Satterthwaite, and more seeds don't make it smaller.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from curricle.analysis.additive_model import AdditiveFit, fit_additive
from curricle.analysis.document_noise import DocumentNoise
from curricle.analysis.simultaneous import SMALLEST_P, Family, all_pairs

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SEED_CAP = 100
"""No advice asks for more seeds than this."""

_ROUNDING = 1e-13


@dataclass(frozen=True)
class Pairwise:
    """Differences between R recipes as matrices (R, R), row minus column; NaN where undefined.

    `margin` is the half-width of the simultaneous interval, `p_values` are adjusted,
    `seeds_to_settle` is, for open pairs, the smallest number of seeds per recipe at which a
    difference as large as the observed one would be significant. `width` (R,) is the half-width of
    the comparison interval of each mean: intervals that don't overlap belong to recipes that differ
    (exact in balanced tables, least squares otherwise; Hochberg and Tamhane 1987, section 3.3).
    The `planned_` ones are those of a single column's comparisons with the controls.
    """

    fit: AdditiveFit
    documents: DocumentNoise | None
    means: Floats
    difference: Floats
    margin: Floats
    p_values: Floats
    seeds_to_settle: Floats
    width: Floats
    planned_margin: Floats
    planned_p_values: Floats


@dataclass(frozen=True)
class _Noise:
    """Per recipe: variance of one run, variance of the mean, degrees of freedom (R,).

    `documents` is the part of a difference's variance that documents make (R, R), on
    `document_degrees` of freedom.
    """

    run: Floats
    mean: Floats
    degrees_of_freedom: Floats
    pooled: Bools
    documents: Floats
    document_degrees: float


def compare_all(
    values: Floats,
    is_control: Bools,
    confidence: float,
    documents: DocumentNoise | None = None,
) -> Pairwise:
    """Compare all recipes of `values` (R, S) with one another; NaN marks a missing run.

    Without two candidates and a degree of freedom among them, controls join the pool.
    """
    pooled = _pool(values, is_control)
    fit = fit_additive(values[pooled])
    means, noise = _with_controls(values, pooled, fit, documents)
    difference = means[:, None] - means[None, :]
    difference[np.abs(difference) <= _ROUNDING * np.abs(means).max()] = 0.0
    margin, p_values = _inference(difference, fit, noise, confidence)
    needed = _seeds_to_settle(difference, fit, noise, confidence)
    planned_margin, planned_p_values = _planned(difference, margin, p_values, noise, confidence)
    return Pairwise(
        fit=fit,
        documents=documents,
        means=means,
        difference=difference,
        margin=margin,
        p_values=p_values,
        seeds_to_settle=_open_only(needed, difference, margin, values),
        width=_comparison_widths(margin, pooled),
        planned_margin=planned_margin,
        planned_p_values=planned_p_values,
    )


def _pool(values: Floats, is_control: Bools) -> Bools:
    candidates = ~is_control
    if candidates.sum() >= 2 and fit_additive(values[candidates]).degrees_of_freedom > 0:
        return candidates
    return np.ones(len(values), dtype=bool)


def _with_controls(
    values: Floats, pooled: Bools, fit: AdditiveFit, documents: DocumentNoise | None
) -> tuple[Floats, _Noise]:
    """Means and noise of everybody: the pool's from the fit, a control's from its own runs."""
    variance = np.nan if fit.variance is None else fit.variance
    count = len(values)
    means, run = np.empty(count), np.full(count, variance)
    mean = np.empty(count)
    degrees = np.full(count, float(fit.degrees_of_freedom))
    means[pooled] = fit.means
    mean[pooled] = variance * np.diag(fit.covariance)
    for index in np.flatnonzero(~pooled):
        own = (values[index] - fit.effects)[np.isfinite(values[index])]
        means[index] = own.mean()
        run[index] = max(variance, own.var(ddof=1)) if len(own) > 1 else variance
        mean[index] = run[index] / len(own)
        degrees[index] = max(len(own) - 1, 1)
    shared = documents.variances() if documents else np.zeros((count, count))
    freedom = float(documents.degrees_of_freedom) if documents else np.inf
    return means, _Noise(run, mean, degrees, pooled, shared, freedom)


def _inference(
    difference: Floats, fit: AdditiveFit, noise: _Noise, confidence: float
) -> tuple[Floats, Floats]:
    """Margins and adjusted p-values (R, R); NaN without an error estimate."""
    count = len(difference)
    margin, p_values = np.full((2, count, count), np.nan)
    if fit.variance is None:
        return margin, p_values
    inside = np.ix_(noise.pooled, noise.pooled)
    margin[inside], p_values[inside] = _among_pool(difference[inside], fit, noise, confidence)
    outside = ~(noise.pooled[:, None] & noise.pooled[None, :])
    error, df = _errors_outside(noise, outside)
    family = all_pairs(count)
    margin[outside] = error * family.criticals(df, confidence)
    p_values[outside] = _games_howell_p(_ratio(difference[outside], error), df, family)
    np.fill_diagonal(margin, 0.0)
    np.fill_diagonal(p_values, 1.0)
    return margin, p_values


def _errors_outside(noise: _Noise, outside: Bools) -> tuple[Floats, Floats]:
    """Standard errors of the differences `outside` the pool, and their degrees of freedom."""
    sides = np.broadcast_arrays(noise.mean[:, None], noise.mean[None, :])
    freedom = np.broadcast_arrays(
        noise.degrees_of_freedom[:, None], noise.degrees_of_freedom[None, :]
    )
    parts = [(side[outside], df[outside]) for side, df in zip(sides, freedom, strict=True)]
    parts.append((noise.documents[outside], np.full(outside.sum(), noise.document_degrees)))
    return np.sqrt(sum(variance for variance, _ in parts)), _welch(parts)


def _planned(
    difference: Floats, margin: Floats, p_values: Floats, noise: _Noise, confidence: float
) -> tuple[Floats, Floats]:
    """Margins and p-values (R, R); pairs with a control by t, Bonferroni over controls."""
    controls = int((~noise.pooled).sum())
    outside = ~(noise.pooled[:, None] & noise.pooled[None, :]) & np.isfinite(margin)
    np.fill_diagonal(outside, False)
    margin, p_values = margin.copy(), p_values.copy()
    error, _ = _errors_outside(noise, outside)
    # Welch's degrees of freedom are themselves estimated, and too many with three seeds.
    df = np.minimum.outer(noise.degrees_of_freedom, noise.degrees_of_freedom)[outside]
    margin[outside] = error * student.ppf(1 - (1 - confidence) / 2 / max(controls, 1), df)
    p = 2 * controls * student.sf(_ratio(difference[outside], error), df)
    p_values[outside] = np.clip(p, SMALLEST_P, 1.0)
    return margin, p_values


def _among_pool(
    difference: Floats, fit: AdditiveFit, noise: _Noise, confidence: float
) -> tuple[Floats, Floats]:
    """Tukey-Kramer's margins and p-values; of Games and Howell's kind where documents add noise."""
    family = all_pairs(len(difference))
    error = _standard_errors(fit)
    documents = noise.documents[np.ix_(noise.pooled, noise.pooled)]
    if not documents.any():
        margin = error * family.critical(fit.degrees_of_freedom, confidence)
        return margin, family.p_values(_ratio(difference, error), fit.degrees_of_freedom)
    freedom = np.full_like(error, fit.degrees_of_freedom)
    df = _welch([(error**2, freedom), (documents, np.full_like(error, noise.document_degrees))])
    error = np.sqrt(error**2 + documents)
    p_values = _games_howell_p(_ratio(difference, error), df, family)
    return error * family.criticals(df, confidence), p_values


def _games_howell_p(statistics: Floats, degrees_of_freedom: Floats, family: Family) -> Floats:
    p_values = np.ones_like(statistics)
    for df in np.unique(degrees_of_freedom):
        cells = degrees_of_freedom == df
        p_values[cells] = family.p_values(statistics[cells], float(df))
    return p_values


def _standard_errors(fit: AdditiveFit) -> Floats:
    own = np.diag(fit.covariance)
    scale = own[:, None] + own[None, :] - 2 * fit.covariance
    return np.asarray(np.sqrt(np.clip(scale, 0.0, None) * (fit.variance or 0.0)))


def _ratio(difference: Floats, error: Floats) -> Floats:
    """|difference| / error, 0 for no difference, infinite for a difference without error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0.0, 0.0, np.abs(difference) / error)


def _welch(parts: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Degrees of freedom of a sum of variances, each with its own, at least 1.

    Rounded down to a tenth, so that few values occur.
    """
    total = sum(variance for variance, _ in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = total**2 / sum(variance**2 / freedom for variance, freedom in parts)
    return np.asarray(np.maximum(np.floor(10 * np.where(np.isfinite(ratio), ratio, 1.0)) / 10, 1.0))


def _comparison_widths(margin: Floats, pooled: Bools) -> Floats:
    """Half-widths w (R,) whose sums w_a + w_b come nearest to the margins of the pairs.

    Solved among the pool first, so that a noisy control doesn't move the candidates' bars.
    """
    width = np.empty(len(margin))
    inside = margin[np.ix_(pooled, pooled)]
    count = len(inside)
    if count > 2:
        width[pooled] = (inside.sum(axis=1) - inside.sum() / (2 * (count - 1))) / (count - 2)
    else:
        width[pooled] = inside.max() / 2
    rest = margin[np.ix_(~pooled, pooled)].mean(axis=1) - width[pooled].mean()
    width[~pooled] = np.maximum(rest, 0.0)
    return width


def _seeds_to_settle(
    difference: Floats, fit: AdditiveFit, noise: _Noise, confidence: float
) -> Floats:
    """Smallest seeds per recipe (R, R) to make the observed difference significant; NaN if none.

    The pool shares one threshold, and so does the pool against each control, and each two controls.
    """
    count = len(difference)
    needed = np.full((count, count), np.nan)
    if not fit.variance:
        return needed
    group = np.where(noise.pooled, -1, np.arange(count))
    for one, other in itertools.combinations_with_replacement(np.unique(group), 2):
        critical, variance = _needs(fit, noise, one, other, confidence)
        for row, column in {(one, other), (other, one)}:
            cells = np.ix_(group == row, group == column)
            documents = noise.documents[cells]
            needed[cells] = _sufficient(np.abs(difference[cells]), critical, variance, documents)
    return needed


def _needs(
    fit: AdditiveFit, noise: _Noise, one: int, other: int, confidence: float
) -> tuple[Floats, Floats]:
    """Critical values and a difference's variance with 2, 3, ... `SEED_CAP` seeds.

    Group -1 is the pool.
    """
    seeds = np.arange(2.0, SEED_CAP + 1)
    pool = int(noise.pooled.sum())
    pool_df = (seeds - 1) * (pool - 1 if fit.blocked else pool)
    if one == other == -1:
        critical = all_pairs(pool).criticals(pool_df, confidence)
        return critical, 2 * (fit.variance or 0.0) / seeds
    variances = [
        (fit.variance or 0.0) if side < 0 else float(noise.run[side]) for side in (one, other)
    ]
    shares = [
        variance**2 / (pool_df if side < 0 else seeds - 1)
        for side, variance in zip((one, other), variances, strict=True)
    ]
    critical = all_pairs(len(noise.run)).criticals(
        sum(variances) ** 2 / (shares[0] + shares[1]), confidence
    )
    return critical, sum(variances) / seeds


def _sufficient(
    difference: Floats, critical: Floats, variance: Floats, documents: Floats
) -> Floats:
    """The fewest seeds at which `difference` is significant, NaN if none; documents stay as many.

    With noise from documents the critical values are those of the seeds alone.
    """
    if not documents.any():
        return smallest_sufficient(difference, critical * np.sqrt(variance))
    needed = np.full_like(difference, np.nan)
    for seeds in range(SEED_CAP, 1, -1):
        threshold = critical[seeds - 2] * np.sqrt(variance[seeds - 2] + documents)
        needed[difference > threshold] = seeds
    return needed


def _open_only(needed: Floats, difference: Floats, margin: Floats, values: Floats) -> Floats:
    """`needed` where the pair is open, and then at least one seed more than it has."""
    runs = np.isfinite(values).sum(axis=1)
    more = np.maximum(needed, np.minimum(runs[:, None], runs[None, :]) + 1.0)
    return np.where(np.abs(difference) <= margin, more, np.nan)


def smallest_sufficient(difference: Floats, threshold: Floats) -> Floats:
    """The smallest n from 2 on with difference > threshold[n - 2] (decreasing); NaN if none."""
    index = np.searchsorted(-threshold, -difference, side="right")
    return np.where(index < len(threshold), index + 2.0, np.nan)
