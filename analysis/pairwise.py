"""All pairwise differences between recipes, with simultaneous intervals.

Candidates share one error variance, pooled over all of them: with three seeds a recipe's own would
have two degrees of freedom. Where the residuals show more noise than that, in one recipe or all
over, it is added (`unequal_noise`); so an interval is Tukey and Kramer's or wider. Controls are
made to be different, so nothing lets us assume that they are as noisy as candidates: they neither
enter the pool nor borrow from it. A pair with a control has an interval of Games and Howell's kind
(1976): each side's own variance. A control's variance is never taken to be smaller than the
candidates', since two or three seeds look quiet by chance often enough.

Pairs of candidates are one family and pairs with a control another; each holds jointly at the
given confidence. What a study asks of its controls is planned, though: does each differ from one
recipe, the baseline? For that question alone the family is as large as the number of controls
(Bonferroni). Among all pairs three seeds leave a factor of 7 or more on the standard error, too
blunt to see a control lose by ten times the candidates' noise with every seed.

Where values were measured on documents, what another sample of documents would change is a second,
independent part of every difference's variance, and more seeds don't make it smaller. Degrees of
freedom of a sum of variances are Welch and Satterthwaite's.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from curricle.analysis.additive_model import AdditiveFit, fit_additive
from curricle.analysis.document_noise import DocumentNoise
from curricle.analysis.simultaneous import SMALLEST_P, Family, all_pairs
from curricle.analysis.unequal_noise import UnequalNoise, unequal_noise

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SEED_CAP = 100
"""No advice asks for more seeds than this."""

_ROUNDING = 1e-13


@dataclass(frozen=True)
class Pairwise:
    """Differences between R recipes as matrices (R, R), row minus column; NaN where undefined.

    `fit` and `unequal` are those of the recipes in the pool. `margin` is the half-width of the
    simultaneous interval, `p_values` are adjusted, `seeds_to_settle` is, for open pairs, the
    smallest number of seeds per recipe at which a difference as large as the observed one would be
    significant. `width` (R,) is the half-width of the comparison interval of each mean: intervals
    that don't overlap belong to recipes that differ (exact in balanced tables of equal noise, least
    squares otherwise; Hochberg and Tamhane 1987, section 3.3). The `planned_` ones are those of a
    single column's comparisons with the controls.
    """

    fit: AdditiveFit
    unequal: UnequalNoise
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
    """What the variances of differences are made of.

    Per recipe (R,): `runs`; `own`, the variance of one run that the pool doesn't tell (a control's
    whole variance, a candidate's excess); the `degrees_of_freedom` of the mean's variance. Per pair
    (R, R): the `variance` of the difference with its `pair_degrees`, and the part of it that
    `documents` make. `prior` is that of the pool (see `unequal_noise`).
    """

    pooled: Bools
    prior: float
    runs: npt.NDArray[np.int64]
    own: Floats
    degrees_of_freedom: Floats
    variance: Floats
    pair_degrees: Floats
    documents: Floats


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
    unequal = unequal_noise(values[pooled], fit)
    means, own = _with_controls(values, pooled, fit, unequal)
    noise = _noise(np.isfinite(values).sum(axis=1), own, pooled, fit, unequal, documents)
    difference = means[:, None] - means[None, :]
    difference[np.abs(difference) <= _ROUNDING * np.abs(means).max()] = 0.0
    margin, p_values = _inference(difference, fit, noise, confidence)
    planned_margin, planned_p_values = _planned(difference, margin, p_values, noise, confidence)
    return Pairwise(
        fit=fit,
        unequal=unequal,
        documents=documents,
        means=means,
        difference=difference,
        margin=margin,
        p_values=p_values,
        seeds_to_settle=_seeds_to_settle(difference, margin, fit, noise, confidence),
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
    values: Floats, pooled: Bools, fit: AdditiveFit, unequal: UnequalNoise
) -> tuple[Floats, Floats]:
    """Everybody's mean and `_Noise.own`: the pool's from the fit, a control's from its own runs."""
    variance = np.nan if fit.variance is None else fit.variance
    means, own = np.empty((2, len(values)))
    means[pooled], own[pooled] = fit.means, unequal.excess
    for index in np.flatnonzero(~pooled):
        adjusted = (values[index] - fit.effects)[np.isfinite(values[index])]
        means[index] = adjusted.mean()
        several = len(adjusted) > 1
        own[index] = max(variance, adjusted.var(ddof=1)) if several else variance
    return means, own


def _noise(
    runs: npt.NDArray[np.int64],
    own: Floats,
    pooled: Bools,
    fit: AdditiveFit,
    unequal: UnequalNoise,
    documents: DocumentNoise | None,
) -> _Noise:
    """Add up the variances of differences: in the pool, with a control, and over documents."""
    sides, degrees = _sides(runs, own, pooled, fit, unequal)
    variance, pair_degrees = _sum(
        (sides[:, None], degrees[:, None]), (sides[None, :], degrees[None, :])
    )
    inside = np.ix_(pooled, pooled)
    variance[inside], pair_degrees[inside] = _within(fit, unequal)
    documents_RR = documents.variances() if documents else np.zeros_like(variance)
    if documents:
        freedom = float(documents.degrees_of_freedom)
        variance, pair_degrees = _sum((variance, pair_degrees), (documents_RR, freedom))
    return _Noise(
        pooled=pooled,
        prior=unequal.prior,
        runs=runs,
        own=own,
        degrees_of_freedom=degrees,
        variance=variance,
        pair_degrees=pair_degrees,
        documents=documents_RR,
    )


def _within(fit: AdditiveFit, unequal: UnequalNoise) -> tuple[Floats, Floats]:
    """Variances of the differences within a pool (R, R), and their degrees of freedom.

    A part that is estimated on d degrees of freedom has a relative variance of 2 / d; the prior
    adds to that of the pooled part how far a recipe's own variance may be from it. Excesses come
    from the same residuals as the pooled variance: they never add to its degrees of freedom.
    """
    own, degrees, full = unequal.excess / fit.runs, unequal.degrees_of_freedom, _degrees(fit)
    apart = 1 / np.maximum(unequal.prior + fit.runs - 1, 1.0)
    total, found = _sum(
        (
            _of_difference(fit.covariance) * (fit.variance or 0.0),
            1 / (1 / full + (apart[:, None] + apart[None, :]) / 4),
        ),
        (own[:, None], degrees[:, None]),
        (own[None, :], degrees[None, :]),
        (_of_difference(unequal.factor @ unequal.factor.T), degrees.min()),
    )
    return total, np.minimum(found, full)


def _sides(
    runs: npt.NDArray[np.int64],
    own: Floats,
    pooled: Bools,
    fit: AdditiveFit,
    unequal: UnequalNoise,
) -> tuple[Floats, Floats]:
    """Variances of the means (R,) and their degrees of freedom."""
    variance, degrees = own / runs, np.maximum(runs - 1.0, 1.0)
    full = _degrees(fit)
    apart = 1 / np.maximum(unequal.prior + fit.runs - 1, 1.0)
    total, found = _sum(
        (np.diag(fit.covariance) * (fit.variance or 0.0), 1 / (1 / full + apart)),
        (variance[pooled], unequal.degrees_of_freedom),
        ((unequal.factor**2).sum(axis=1), unequal.degrees_of_freedom.min()),
    )
    variance[pooled], degrees[pooled] = total, np.minimum(found, full)
    return variance, degrees


def _degrees(fit: AdditiveFit) -> float:
    return float(max(fit.degrees_of_freedom, 1))


def _of_difference(covariance: Floats) -> Floats:
    """Variances of all differences (R, R)."""
    own = np.diag(covariance)
    return np.asarray(np.clip(own[:, None] + own[None, :] - 2 * covariance, 0.0, None))


def _sum(*parts: tuple[Floats, Floats | float]) -> tuple[Floats, Floats]:
    """The sum of variances, each with its degrees of freedom, and the sum's, at least 1."""
    total = np.asarray(sum(variance for variance, _ in parts))
    shares = np.asarray(sum(variance**2 / degrees for variance, degrees in parts))
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = total**2 / shares
    return total, np.where(np.isfinite(degrees), np.maximum(degrees, 1.0), 1.0)


def _inference(
    difference: Floats, fit: AdditiveFit, noise: _Noise, confidence: float
) -> tuple[Floats, Floats]:
    """Margins and adjusted p-values (R, R); NaN without an error estimate."""
    count = len(difference)
    margin, p_values = np.full((2, count, count), np.nan)
    if fit.variance is None:
        return margin, p_values
    error, full = np.sqrt(noise.variance), float(fit.degrees_of_freedom)
    statistics = _ratio(difference, error)
    inside = noise.pooled[:, None] & noise.pooled[None, :]
    equal = inside & np.isclose(noise.pair_degrees, full, rtol=1e-9)
    df = np.where(equal, full, _few_different(noise.pair_degrees))
    for cells, groups in ((inside, int(noise.pooled.sum())), (~inside, count)):
        family = all_pairs(groups)
        margin[cells] = error[cells] * family.criticals(df[cells], confidence)
        p_values[cells] = _p_values(statistics[cells], df[cells], family)
    margin[equal] = error[equal] * all_pairs(int(noise.pooled.sum())).critical(full, confidence)
    np.fill_diagonal(margin, 0.0)
    np.fill_diagonal(p_values, 1.0)
    return margin, p_values


def _few_different(degrees: Floats) -> Floats:
    """Degrees of freedom rounded down to a hundredth, from 3 on to a tenth, from 30 on by 2 %.

    So that few values occur, since each asks for p-values of its own.
    """
    per_unit = np.where(degrees < 3, 100, 10)
    fine = np.floor(per_unit * degrees * (1 + 1e-12)) / per_unit
    steps = np.floor(np.log(np.maximum(degrees, 30.0) / 30) / np.log(1.02))
    return np.asarray(np.where(degrees < 30, fine, 30 * 1.02**steps))


def _planned(
    difference: Floats, margin: Floats, p_values: Floats, noise: _Noise, confidence: float
) -> tuple[Floats, Floats]:
    """Margins and p-values (R, R); pairs with a control by t, Bonferroni over controls."""
    controls = int((~noise.pooled).sum())
    outside = ~(noise.pooled[:, None] & noise.pooled[None, :]) & np.isfinite(margin)
    np.fill_diagonal(outside, False)
    margin, p_values = margin.copy(), p_values.copy()
    error = np.sqrt(noise.variance[outside])
    # Welch's degrees of freedom are themselves estimated, and too many with three seeds.
    df = np.minimum.outer(noise.degrees_of_freedom, noise.degrees_of_freedom)[outside]
    margin[outside] = error * student.ppf(1 - (1 - confidence) / 2 / max(controls, 1), df)
    p = 2 * controls * student.sf(_ratio(difference[outside], error), df)
    p_values[outside] = np.clip(p, SMALLEST_P, 1.0)
    return margin, p_values


def _p_values(statistics: Floats, degrees_of_freedom: Floats, family: Family) -> Floats:
    """Adjusted p-values (N,), each with its degrees of freedom."""
    p_values = np.ones_like(statistics)
    order = np.argsort(degrees_of_freedom, kind="stable")
    starts = np.flatnonzero(np.diff(degrees_of_freedom[order])) + 1
    for cells in np.split(order, starts) if len(order) else ():
        several, place = np.unique(statistics[cells], return_inverse=True)
        p_values[cells] = family.p_values(several, float(degrees_of_freedom[cells[0]]))[place]
    return p_values


def _ratio(difference: Floats, error: Floats) -> Floats:
    """|difference| / error, 0 for no difference, infinite for a difference without error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0.0, 0.0, np.abs(difference) / error)


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
    difference: Floats, margin: Floats, fit: AdditiveFit, noise: _Noise, confidence: float
) -> Floats:
    """For open pairs (R, R) the fewest seeds per recipe that make the observed difference
    significant, and one more than there are at least; NaN if there is no such number.

    Documents stay as many. The critical values are those of the seeds' noise alone.
    """
    needed = np.full_like(difference, np.nan)
    if not fit.variance:
        return needed
    first, second = np.nonzero(np.triu(np.abs(difference) <= margin, 1))
    below = np.ones(len(first), dtype=np.int64)
    enough = np.full(len(first), SEED_CAP)
    shifts = np.abs(difference[first, second])

    def significant(seeds: npt.NDArray[np.int64]) -> Bools:
        return shifts > _thresholds(seeds, first, second, fit, noise, confidence)

    settled = significant(enough)
    while (enough - below > 1).any():
        middle = np.maximum((below + enough) // 2, 2)
        does = significant(middle)
        below, enough = np.where(does, below, middle), np.where(does, middle, enough)
    more = np.minimum(noise.runs[first], noise.runs[second]) + 1
    found = np.where(settled, np.maximum(enough, more), np.nan)
    needed[first, second] = needed[second, first] = found
    return needed


def _thresholds(
    seeds: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    fit: AdditiveFit,
    noise: _Noise,
    confidence: float,
) -> Floats:
    """The differences (N,) from which on `first` and `second` differ with so many `seeds`."""
    pool, variance = int(noise.pooled.sum()), fit.variance or 0.0
    pool_df = (seeds - 1) * (pool - 1 if fit.blocked else pool)
    sides = noise.pooled[first].astype(float) + noise.pooled[second]
    apart = variance**2 * sides / (noise.prior + seeds - 1)
    own = noise.own[first], noise.own[second]
    total = sides * variance + own[0] + own[1]
    shares = (sides * variance) ** 2 / pool_df + (own[0] ** 2 + own[1] ** 2) / (seeds - 1) + apart
    df = np.maximum(total**2 / shares, 1.0)
    df = np.where(sides == 2, np.minimum(df, pool_df), df)
    critical = np.empty_like(total)
    for cells, groups in ((sides == 2, pool), (sides < 2, len(noise.pooled))):
        critical[cells] = all_pairs(groups).criticals(df[cells], confidence)
    return np.asarray(critical * np.sqrt(total / seeds + noise.documents[first, second]))


def smallest_sufficient(difference: Floats, threshold: Floats) -> Floats:
    """The smallest n from 2 on with difference > threshold[n - 2] (decreasing); NaN if none."""
    index = np.searchsorted(-threshold, -difference, side="right")
    return np.where(index < len(threshold), index + 2.0, np.nan)
