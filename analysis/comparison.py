"""Compares the arms of a curriculum study: paired by seed, corrected for the number of questions.

Model: value = arm + seed + error, so a comparison is a paired t whose error variance is pooled over
all arms (with three seeds a pair's own would have two degrees of freedom). Where the arms are
plainly not equally noisy (Bartlett's test, p < 0.01) each comparison keeps the variance of its own
paired differences. Intervals and p-values are simultaneous over all comparisons asked for
(single-step max-t: Dunnett's test if all are against one control), and over domains, schedules and
the like by Bonferroni.

Shape suffixes: K comparisons, R arms, S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import bartlett
from scipy.stats import t as student

from curricle.analysis.additive_model import AdditiveFit, fit_additive
from curricle.analysis.observations import check_confidence, value_matrix
from curricle.analysis.pairwise import SEED_CAP, smallest_sufficient
from curricle.analysis.results import AVERAGE
from curricle.analysis.simultaneous import SMALLEST_P, contrasts
from curricle.analysis.verdicts import Verdict, optional, optional_int, verdict_of
from curricle.core.errors import InputError

Floats = npt.NDArray[np.float64]

_UNEQUAL = 0.01


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One arm against one control in one domain (`average`: the mean over domains).

    `difference` is arm - control, whatever direction is better, with its simultaneous interval and
    adjusted p-value (None without an error estimate). `seed_differences` are the paired ones by
    seed, None where a run is missing. `pooled` tells whether the error variance is shared by all
    arms; if not, the difference is the mean of the paired ones. `seeds_to_settle` is the smallest
    number of seeds at which a difference as large as this one would be significant; None for a
    settled comparison and for more than `SEED_CAP`.

    The interval holds jointly with those of its own domain and schedule at `confidence`, with all
    at `joint_confidence`. `p_value` is adjusted for all: it is below 1 - `joint_confidence` where
    the interval leaves zero out, and only there.
    """

    arm: str
    control: str
    domain: str
    arm_mean: float
    control_mean: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    verdict: Verdict
    seeds: tuple[str, ...]
    seed_differences: tuple[float | None, ...]
    seeds_to_settle: int | None
    pooled: bool
    confidence: float
    joint_confidence: float
    lower_is_better: bool

    @property
    def pairs(self) -> int:
        """In how many of the seeds both arms have run."""
        return sum(value is not None for value in self.seed_differences)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A question: `arm` against the mean of others with `weights` that sum to 1, the `control`."""

    arm: str
    control: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class _Level:
    """`families` of comparisons that hold jointly at a `confidence`, each at a higher one."""

    confidence: float
    families: int = 1

    @property
    def of_each(self) -> float:
        return 1 - (1 - self.confidence) / self.families

    def among(self, more: int) -> "_Level":
        """Each family's comparisons made `more` times over."""
        return replace(self, families=self.families * more)

    def adjusted(self, p_values: Floats) -> Floats:
        """A family's p-values, adjusted for all families."""
        return np.minimum(p_values * self.families, 1.0)


@dataclass(frozen=True)
class _Inference:
    """Per comparison, or NaN: difference, its interval's half-width, p-value, seeds to settle.

    All are about one family of comparisons.
    """

    difference: Floats
    margin: Floats
    p_values: Floats
    seeds_to_settle: Floats
    pooled: bool


def compare_arms(
    table: pd.DataFrame,
    control: str,
    *,
    also: Sequence[tuple[str, str]] = (),
    lower_is_better: bool = True,
    confidence: float = 0.95,
    families: int = 1,
) -> tuple[Comparison, ...]:
    """Compare every arm of `table` with `control`, and the (arm, other) pairs in `also`.

    `table` has the columns arm, seed, value and perhaps domain. With domains the mean over them
    comes first, as domain `average`; then each domain, so that all domains hold jointly. `families`
    is the number of tables that are compared so and must hold jointly.

    Raises InputError for missing columns, a repeated run, a control without a value, no other arm.
    """
    check_confidence(confidence)
    level = _Level(confidence, families)
    average = _compare(value_matrix(table, "arm"), control, also, AVERAGE, lower_is_better, level)
    domains = sorted(set(table["domain"]) - {AVERAGE}) if "domain" in table.columns else []
    single = (
        _compare(
            value_matrix(table[table["domain"] == domain], "arm"),
            control,
            also,
            str(domain),
            lower_is_better,
            level.among(len(domains)),
        )
        for domain in domains
        if len(domains) > 1
    )
    return average + tuple(item for group in single for item in group)


def compare_contrasts(
    table: pd.DataFrame,
    asked: Sequence[Contrast],
    *,
    lower_is_better: bool = True,
    confidence: float = 0.95,
) -> tuple[Comparison, ...]:
    """Answer all of `asked`, jointly, by the mean over domains.

    `table` is one of `compare_arms`; all its arms share the error variance, asked about or not.
    What names an arm without a value is left out. Raises InputError as `compare_arms` does.
    """
    check_confidence(confidence)
    level = _Level(confidence)
    return _judge(value_matrix(table, "arm"), asked, AVERAGE, lower_is_better, level)


def _compare(
    matrix: pd.DataFrame,
    control: str,
    also: Sequence[tuple[str, str]],
    domain: str,
    lower_is_better: bool,
    level: _Level,
) -> tuple[Comparison, ...]:
    names = [str(name) for name in matrix.dropna(how="all").index]
    _check_arms(names, control)
    pairs = dict.fromkeys([*((name, control) for name in names if name != control), *also])
    asked = [Contrast(arm=arm, control=other, weights={other: 1.0}) for arm, other in pairs]
    return _judge(matrix, asked, domain, lower_is_better, level)


def _judge(
    matrix: pd.DataFrame,
    asked: Sequence[Contrast],
    domain: str,
    lower_is_better: bool,
    level: _Level,
) -> tuple[Comparison, ...]:
    matrix = matrix.dropna(how="all").dropna(how="all", axis="columns")
    names = [str(name) for name in matrix.index]
    asked = [item for item in asked if {item.arm, *item.weights} <= set(names)]
    if not asked:
        return ()
    values = matrix.to_numpy(dtype=float)
    arms = np.array([names.index(item.arm) for item in asked])
    controls_KR = np.array([[item.weights.get(name, 0.0) for name in names] for item in asked])
    selector_KR = np.eye(len(names))[arms] - controls_KR
    fit = fit_additive(values)
    by_seed = _weighted(selector_KR, values)
    found = _inference(values, fit, selector_KR, level.of_each)
    low, high = found.difference - found.margin, found.difference + found.margin
    p_values = level.adjusted(found.p_values)
    return tuple(
        Comparison(
            arm=asked[k].arm,
            control=asked[k].control,
            domain=domain,
            arm_mean=float(fit.means[arms[k]]),
            control_mean=float(controls_KR[k] @ fit.means),
            difference=float(found.difference[k]),
            low=optional(low[k]),
            high=optional(high[k]),
            p_value=optional(p_values[k]),
            verdict=verdict_of(
                found.difference[k], found.margin[k], lower_is_better=lower_is_better
            ),
            seeds=tuple(str(seed) for seed in matrix.columns),
            seed_differences=tuple(map(optional, by_seed[k])),
            seeds_to_settle=optional_int(found.seeds_to_settle[k]),
            pooled=found.pooled,
            confidence=level.of_each,
            joint_confidence=level.confidence,
            lower_is_better=lower_is_better,
        )
        for k in range(len(asked))
    )


def _weighted(selector_KR: Floats, values_RS: Floats) -> Floats:
    """Each contrast by seed, (K, S); NaN where an arm that has a weight has no value."""
    present_RS = np.isfinite(values_RS)
    complete_KS = (selector_KR != 0) @ ~present_RS == 0
    return np.where(complete_KS, selector_KR @ np.where(present_RS, values_RS, 0.0), np.nan)


def _inference(
    values: Floats, fit: AdditiveFit, selector_KR: Floats, confidence: float
) -> _Inference:
    if fit.blocked and _unequal_noise(values, fit):
        found = _separate(selector_KR @ fit.means, _weighted(selector_KR, values), confidence)
    else:
        found = _pooled(fit, selector_KR, confidence)
    is_open = np.abs(found.difference) <= found.margin
    runs = np.where(selector_KR != 0, np.isfinite(values).sum(axis=1), np.inf).min(axis=1)
    more = np.maximum(found.seeds_to_settle, runs + 1.0)
    return replace(found, seeds_to_settle=np.where(is_open, more, np.nan))


def _unequal_noise(values: Floats, fit: AdditiveFit) -> bool:
    residuals = values - fit.means[:, None] - fit.effects
    groups = [row[np.isfinite(row)] for row in residuals]
    if min(map(len, groups)) < 2 or not fit.variance:
        return False
    return bool(bartlett(*groups).pvalue < _UNEQUAL)


def _pooled(fit: AdditiveFit, selector_KR: Floats, confidence: float) -> _Inference:
    """One error variance for all arms; max-t over the correlated comparisons."""
    difference = selector_KR @ fit.means
    undefined = np.full(len(difference), np.nan)
    if fit.variance is None:
        return _Inference(difference, undefined, undefined, undefined, pooled=True)
    covariance = selector_KR @ fit.covariance @ selector_KR.T
    scale = np.sqrt(np.diag(covariance))
    family = contrasts(covariance / np.outer(scale, scale))
    error = scale * np.sqrt(fit.variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = np.where(difference == 0.0, 0.0, np.abs(difference) / error)
    seeds = np.arange(2.0, SEED_CAP + 1)
    df = (seeds - 1) * (len(fit.means) - 1 if fit.blocked else len(fit.means))
    threshold = family.criticals(df, confidence) * np.sqrt(fit.variance / seeds)
    length = np.sqrt((selector_KR**2).sum(axis=1))
    needed = (
        smallest_sufficient(np.abs(difference) / length, threshold) if fit.variance else undefined
    )
    return _Inference(
        difference=difference,
        margin=error * family.critical(fit.degrees_of_freedom, confidence),
        p_values=family.p_values(statistics, fit.degrees_of_freedom),
        seeds_to_settle=needed,
        pooled=True,
    )


def _separate(fitted_K: Floats, differences_KS: Floats, confidence: float) -> _Inference:
    """Each comparison's own paired t, Bonferroni over the comparisons.

    The estimate is the mean of the pairs, whose error it is: in a fitted one the noise of other
    arms would come in through the seeds. One without two pairs stays as fitted.
    """
    difference = fitted_K.copy()
    count = len(differences_KS)
    tail = (1 - confidence) / (2 * count)
    seeds = np.arange(2.0, SEED_CAP + 1)
    margin, p_values, needed = np.full((3, count), np.nan)
    for k, row in enumerate(differences_KS):
        paired = row[np.isfinite(row)]
        if len(paired) < 2:
            continue
        difference[k] = paired.mean()
        error = paired.std(ddof=1) / np.sqrt(len(paired))
        margin[k] = student.ppf(1 - tail, len(paired) - 1) * error
        raw = 2 * student.sf(abs(paired.mean()) / max(error, 1e-300), len(paired) - 1)
        p_values[k] = np.clip(raw * count, SMALLEST_P, 1.0)
        threshold = student.ppf(1 - tail, seeds - 1) * paired.std(ddof=1) / np.sqrt(seeds)
        needed[k] = smallest_sufficient(np.array([abs(paired.mean())]), threshold)[0]
    return _Inference(difference, margin, p_values, needed, pooled=False)


def _check_arms(names: list[str], control: str) -> None:
    if control not in names:
        raise InputError(
            f"control {control!r} without a value",
            expected=f"one of {', '.join(names) or 'the arms'}",
            fix="run it, or compare with another arm",
        )
    if len(names) < 2:
        raise InputError(
            "one arm with values", expected="an arm to compare with its control", fix="add arms"
        )
