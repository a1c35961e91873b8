"""Several proxy methods against one target: who predicts its ranking, how surely, at what cost.

Every method is a ranking of the recipes (at a tiny rate, at the standard one, by a bigram's cross
entropy, ...). Candidates alone count, since any method tells a bad control from the rest. Two kinds
of interval answer two questions:

- over recipes (correlations, and the difference of two methods' correlations): would it be so for
  other recipes of this kind? See `correlations`.
- over the target's noise (decision accuracy, regret, and each correlation's `true_...`): these very
  recipes and this very choice, if the target's losses were known exactly? See `target_draws`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from curricle.analysis.agreement import Agreement, agreement_of
from curricle.analysis.cautions import Caution, agreement_caution
from curricle.analysis.correlations import (
    KENDALL,
    correlation_difference,
    correlation_interval,
)
from curricle.analysis.formatting import rate
from curricle.analysis.ranked import Ranking
from curricle.analysis.reliability import Ceiling, ceiling_of, spearman_with_more_seeds
from curricle.analysis.results import AVERAGE, POOLED
from curricle.analysis.target_draws import draw_targets
from curricle.analysis.verdicts import Verdict
from curricle.core.bootstrap import Interval

Floats = npt.NDArray[np.float64]

REGRETS = (1, 2, 3, 5)
_CHEAPER = 1.05
"""A method costs less than another if that one costs so many times as much: batches round."""


@dataclass(frozen=True, kw_only=True)
class MethodAgreement:
    """One method's agreement with the target, over the candidates of one `group` in one `domain`.

    `spearman`, `kendall` and `decision_accuracy` are those of the two rankings as measured, with
    intervals over recipes (from 10 on; decision accuracy's follows from Kendall's). `true_spearman`
    and `true_decision_accuracy` are the proxy's with the target's true losses, as intervals over
    the target's noise, and so is `regret` (by k, nats), the measured regret of the proxy's best k.
    A correlation is None where all recipes are equal in one of the rankings.
    `flops` is the method's training cost, None where nobody told. `at_equal_flops`: what Spearman
    correlation is to be expected of a method cheaper than the first one if the difference were
    spent on more of its own seeds; None for the others, and without repeated runs.
    """

    method: str
    domain: str
    group: str
    agreement: Agreement
    spearman: Interval | None
    kendall: Interval | None
    decision_accuracy: Interval
    true_spearman: Interval | None
    true_decision_accuracy: Interval
    regret: Mapping[str, Interval]
    flops: float | None
    at_equal_flops: float | None = None


@dataclass(frozen=True, kw_only=True)
class MethodDifference:
    """Two methods on the same recipes: `first` - `second`, with intervals as in `MethodAgreement`.

    `verdict` is on `first`'s Spearman correlation, jointly over all methods compared with `second`.
    """

    first: str
    second: str
    domain: str
    spearman: Interval | None
    true_decision_accuracy: Interval
    regret: Interval
    verdict: Verdict
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Methods:
    """All methods beside one another: domain by domain, and on the average group by group.

    `ceiling` is that over all recipes on the average, `ceilings` has those of every place.
    """

    agreements: tuple[MethodAgreement, ...]
    differences: tuple[MethodDifference, ...]
    ceiling: Ceiling | None
    cautions: tuple[Caution, ...]
    ceilings: tuple[Ceiling, ...] = ()

    def of(self, domain: str, group: str = POOLED) -> tuple[MethodAgreement, ...]:
        """The methods' agreements in one domain and group."""
        return tuple(
            item for item in self.agreements if item.domain == domain and item.group == group
        )

    def ceiling_at(self, domain: str, group: str = POOLED) -> Ceiling | None:
        """The ceiling in one domain and group, None where it isn't known."""
        found = (item for item in self.ceilings if (item.domain, item.group) == (domain, group))
        return next(found, None)


def method_at(learning_rate: float) -> str:
    """The name of the method that ranks by a study's proxies at this rate."""
    return f"rate {rate(learning_rate)}"


def judge_methods(
    proxies: Mapping[str, Mapping[str, Ranking]],
    target: Mapping[str, Ranking],
    *,
    dimensions: Mapping[str, str] | None = None,
    flops: Mapping[str, float] | None = None,
) -> Methods:
    """Judge every method of `proxies` against `target`; both hold a ranking per domain.

    `average` is the domain that names the mean over all; `dimensions` names each recipe's curation
    dimension, within which the methods are judged too, on the average. The first method is the one
    that the others are compared with.
    """
    groups = _groups(dimensions or {})
    asked = [(domain, POOLED) for domain in target] + [(AVERAGE, group) for group in groups]
    found = [
        method_agreement(
            method,
            proxy[domain],
            target[domain],
            domain=domain,
            group=group,
            within=groups.get(group),
            flops=(flops or {}).get(method),
        )
        for domain, group in asked
        for method, proxy in proxies.items()
        if domain in proxy
    ]
    averages = {method: proxy[AVERAGE] for method, proxy in proxies.items()}
    most = (flops or {}).get(next(iter(proxies), ""))
    methods = Methods(
        agreements=tuple(_at_equal_flops(item, proxies, most) for item in found if item),
        differences=compare_methods(averages, target[AVERAGE]),
        ceiling=ceiling_of(target[AVERAGE]),
        cautions=(),
        ceilings=tuple(_ceilings(asked, target, groups)),
    )
    return replace(methods, cautions=tuple(_cautions(methods)))


def _groups(dimensions: Mapping[str, str]) -> dict[str, frozenset[str]]:
    names = dict.fromkeys(dimensions.values())
    return {
        name: frozenset(recipe for recipe, group in dimensions.items() if group == name)
        for name in names
    }


def _at_equal_flops(
    item: MethodAgreement, proxies: Mapping[str, Mapping[str, Ranking]], most: float | None
) -> MethodAgreement:
    """With the correlation that more of its seeds, up to `most` FLOPs, would give."""
    if item.group != POOLED or not item.spearman or not item.flops or not most:
        return item
    times = most / item.flops
    if times < _CHEAPER:
        return item
    ranking = proxies[item.method][item.domain]
    return replace(
        item, at_equal_flops=spearman_with_more_seeds(ranking, item.spearman.value, times)
    )


def _cautions(methods: Methods) -> Iterator[Caution]:
    ceiling = methods.ceiling.spearman if methods.ceiling else None
    for item in methods.of(AVERAGE):
        if found := agreement_caution(item.method, item.spearman, ceiling):
            yield found


def _ceilings(
    asked: Sequence[tuple[str, str]],
    target: Mapping[str, Ranking],
    groups: Mapping[str, frozenset[str]],
) -> Iterator[Ceiling]:
    """The ceiling of every place, with the noise pooled over all of the domain's candidates."""
    for domain, group in asked:
        ranking = target[domain]
        names = [item.recipe for item in ranking.candidates]
        kept = [name for name in names if group == POOLED or name in groups[group]]
        if found := ceiling_of(_only(ranking, kept)):
            yield replace(found, domain=domain, group=group)


def method_agreement(
    method: str,
    proxy: Ranking,
    target: Ranking,
    *,
    domain: str = AVERAGE,
    group: str = POOLED,
    within: frozenset[str] | None = None,
    flops: float | None = None,
) -> MethodAgreement | None:
    """Agreement of `proxy` with `target` over the candidates of both, or over those `within`.

    None for fewer than two of them.
    """
    names = _common(proxy, target, within)
    if len(names) < 2:
        return None
    found = agreement_of(_only(proxy, names), _only(target, names))
    x, y = _means(proxy, names), _means(target, names)
    drawn = _draws(target, names, x)
    count, confidence = len(names), target.confidence
    rho = math.nan if found.spearman is None else found.spearman
    tau = math.nan if found.kendall is None else found.kendall
    kendall = correlation_interval(tau, count, kind=KENDALL, confidence=confidence)
    accuracy = found.decision_accuracy
    return MethodAgreement(
        method=method,
        domain=domain,
        group=group,
        agreement=found,
        spearman=_stated(correlation_interval(rho, count, confidence=confidence)),
        kendall=_stated(kendall),
        decision_accuracy=Interval(accuracy, *_as_shares(kendall)),
        true_spearman=_stated(_drawn(rho, drawn, lambda t: _spearmans(x, t), confidence)),
        true_decision_accuracy=_drawn(accuracy, drawn, lambda t: _accuracies(x, t), confidence),
        regret={
            str(k): _drawn(float(_regrets(x, y[None], k)[0]), drawn, _regret_of(x, k), confidence)
            for k in REGRETS
            if k < count
        },
        flops=flops,
    )


def compare_methods(
    proxies: Mapping[str, Ranking], target: Ranking, *, domain: str = AVERAGE
) -> tuple[MethodDifference, ...]:
    """The first method minus each other one, over the candidates that all of them rank.

    Nothing for fewer than two methods, or two such candidates.
    """
    methods = list(proxies)
    names = [item.recipe for item in target.candidates]
    names = [name for name in names if all(name in ranking for ranking in proxies.values())]
    if len(methods) < 2 or len(names) < 2:
        return ()
    level = 1 - (1 - target.confidence) / (len(methods) - 1)
    return tuple(
        _difference(methods[0], other, proxies, target, names, domain, level)
        for other in methods[1:]
    )


def _difference(
    first: str,
    second: str,
    proxies: Mapping[str, Ranking],
    target: Ranking,
    names: Sequence[str],
    domain: str,
    level: float,
) -> MethodDifference:
    y = _means(target, names)
    sides = [_means(proxies[method], names) for method in (first, second)]
    rho = [float(_spearmans(x, y[None])[0]) for x in sides]
    between = float(_spearmans(sides[0], sides[1][None])[0])
    spearman = correlation_difference(rho[0], rho[1], between, len(names), confidence=level)
    # Both scores inform the draws evenly, so that neither method is favoured.
    drawn = _draws(target, names, rankdata(sides[0]) + rankdata(sides[1]))
    accuracy = [_accuracies(x, y[None])[0] for x in sides]
    regret = [_regrets(x, y[None], 1)[0] for x in sides]
    return MethodDifference(
        first=first,
        second=second,
        domain=domain,
        spearman=_stated(spearman),
        true_decision_accuracy=_drawn(
            float(accuracy[0] - accuracy[1]),
            drawn,
            lambda t: _accuracies(sides[0], t) - _accuracies(sides[1], t),
            level,
        ),
        regret=_drawn(
            float(regret[0] - regret[1]),
            drawn,
            lambda t: _regrets(sides[0], t, 1) - _regrets(sides[1], t, 1),
            level,
        ),
        verdict=_verdict(spearman),
        confidence=level,
    )


def _verdict(spearman: Interval) -> Verdict:
    """A higher correlation is better."""
    if spearman.low is None or spearman.high is None or spearman.low <= 0 <= spearman.high:
        return "cannot tell"
    return "better" if spearman.low > 0 else "worse"


def _common(proxy: Ranking, target: Ranking, within: frozenset[str] | None) -> list[str]:
    """The candidates of both, in the target's order."""
    known = {item.recipe for item in proxy.candidates}
    names = [item.recipe for item in target.candidates if item.recipe in known]
    return [name for name in names if within is None or name in within]


def _only(ranking: Ranking, names: Sequence[str]) -> Ranking:
    kept = set(names)
    recipes = tuple(item for item in ranking.recipes if item.recipe in kept)
    pairs = tuple(pair for pair in ranking.pairs if {pair.first, pair.second} <= kept)
    return replace(ranking, recipes=recipes, pairs=pairs)


def _means(ranking: Ranking, names: Sequence[str]) -> Floats:
    means = {item.recipe: item.mean for item in ranking.recipes}
    return np.array([means[name] for name in names])


def _draws(target: Ranking, names: Sequence[str], proxy: Floats) -> Floats | None:
    """Draws of the true target losses (B, R); None where the target has no error estimate.

    A mean's variance is read off the comparison intervals' common scale: the pooled variance over
    the recipe's number of runs.
    """
    deviation = target.standard_deviation
    if deviation is None:
        return None
    runs = {item.recipe: item.runs for item in target.recipes}
    variance = np.array([deviation**2 / runs[name] for name in names])
    return draw_targets(_means(target, names), variance, target.degrees_of_freedom, proxy)


def _drawn(
    value: float, drawn: Floats | None, statistic: Callable[[Floats], Floats], confidence: float
) -> Interval:
    """`value` with the middle share of `statistic` over draws."""
    if math.isnan(value) or drawn is None:
        return Interval(value, None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(statistic(drawn), [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def _spearmans(x: Floats, y_BR: Floats) -> Floats:
    """Spearman's correlation of `x` (R,) with every row, NaN for rows or an `x` without order."""
    centre = (len(x) + 1) / 2
    ranks, ranks_BR = rankdata(x) - centre, rankdata(y_BR, axis=1) - centre
    scale = np.sqrt((ranks @ ranks) * (ranks_BR**2).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(ranks_BR @ ranks / scale)


def _accuracies(x: Floats, y_BR: Floats) -> Floats:
    """Decision accuracy of `x` (R,) against every row; a tie counts half."""
    first, second = np.triu_indices(len(x), 1)
    signs = np.sign(x[first] - x[second])
    return np.asarray((1 + signs * np.sign(y_BR[:, first] - y_BR[:, second])).mean(axis=1) / 2)


def _regrets(x: Floats, y_BR: Floats, k: int) -> Floats:
    """Lowest loss among the best k by `x` minus the lowest of all, for every row."""
    chosen = np.argsort(x, kind="stable")[:k]
    return np.asarray(y_BR[:, chosen].min(axis=1) - y_BR.min(axis=1))


def _regret_of(x: Floats, k: int) -> Callable[[Floats], Floats]:
    return lambda drawn: _regrets(x, drawn, k)


def _as_shares(kendall: Interval) -> tuple[float | None, float | None]:
    """Kendall's interval as one of decision accuracies, (1 + tau) / 2."""
    if kendall.low is None or kendall.high is None:
        return None, None
    return (1 + kendall.low) / 2, (1 + kendall.high) / 2


def _stated(interval: Interval) -> Interval | None:
    """None in place of a correlation that isn't defined, where all values are equal."""
    return None if math.isnan(interval.value) else interval
