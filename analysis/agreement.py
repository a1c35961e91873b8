"""How far one ranking (a proxy's) predicts another (the target's) over the same recipes."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata

from curricle.analysis.correlations import MINIMUM_FOR_INTERVAL, correlation_interval
from curricle.analysis.ranked import Ranking
from curricle.analysis.verdicts import optional
from curricle.core.errors import InputError
from curricle.core.seeds import generator

Floats = npt.NDArray[np.float64]

MINIMUM_FOR_TEST = 4
"""Three recipes have six orders, so even perfect agreement has p = 1/6."""

_ENUMERATED = 8
_DRAWS = 20_000
_REGRETS = 5


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A pair that the two rankings order differently.

    The differences are `first` - `second` in either ranking; `sure_...` tells whether that ranking
    has a verdict on the pair. A flip that is sure in both is a contradiction, another may be noise.
    """

    first: str
    second: str
    proxy_difference: float
    target_difference: float
    sure_in_proxy: bool
    sure_in_target: bool

    @property
    def sure(self) -> bool:
        """Whether both rankings are sure of their order."""
        return self.sure_in_proxy and self.sure_in_target


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement over `recipes`; None where the numbers allow no statement.

    `spearman_p` is the one-sided permutation p-value of "no more agreement than chance" (exact up
    to 8 recipes), `spearman_low` to `spearman_high` a 95 % interval from 10 recipes on.
    `decision_accuracy` is the share of pairs ordered alike, a tie counting half (DataDecide,
    arXiv 2504.11393); `sure_decision_accuracy` the same over the `sure_pairs` that the target
    ranking has a verdict on. `regret[k - 1]` is the lowest target value among the proxy's best k,
    minus the lowest of all.
    """

    recipes: tuple[str, ...]
    spearman: float | None
    spearman_p: float | None
    spearman_low: float | None
    spearman_high: float | None
    kendall: float | None
    decision_accuracy: float
    sure_decision_accuracy: float | None
    sure_pairs: int
    regret: tuple[float, ...]
    flips: tuple[Flip, ...]
    note: str

    @property
    def sure_flips(self) -> tuple[Flip, ...]:
        """The flips that both rankings are sure of."""
        return tuple(flip for flip in self.flips if flip.sure)


def agree(
    proxy: Mapping[str, float],
    target: Mapping[str, float],
    *,
    sure_in_proxy: frozenset[frozenset[str]] = frozenset(),
    sure_in_target: frozenset[frozenset[str]] = frozenset(),
) -> Agreement:
    """Agreement of two sets of values (lower is better) over the recipes that both have.

    `sure_in_...` are the pairs of recipes that differ surely. NaN counts as not there.

    Raises InputError for fewer than two recipes in common.
    """
    both = [name for name, value in proxy.items() if math.isfinite(value)]
    names = [name for name in both if math.isfinite(target.get(name, math.nan))]
    if len(names) < 2:
        raise InputError(
            f"{len(names)} recipes in both rankings",
            expected="at least two to compare",
            fix="rank the same recipes twice",
        )
    x, y = (np.array([values[name] for name in names], float) for values in (proxy, target))
    rho, p = _spearman(x, y)
    interval = correlation_interval(rho, len(names))
    return Agreement(
        recipes=tuple(names),
        spearman=optional(rho),
        spearman_p=optional(p),
        spearman_low=interval.low,
        spearman_high=interval.high,
        kendall=optional(float(kendalltau(x, y).statistic)),
        decision_accuracy=_accuracy(names, x, y, None),
        sure_decision_accuracy=_accuracy(names, x, y, sure_in_target) if sure_in_target else None,
        sure_pairs=len(sure_in_target),
        regret=_regret(x, y),
        flips=_flips(names, x, y, sure_in_proxy, sure_in_target),
        note=_note(len(names)),
    )


def agreement_of(proxy: Ranking, target: Ranking, *, controls: bool = False) -> Agreement:
    """Agreement of two rankings; without controls, which would make any method look good.

    Raises InputError for fewer than two recipes in common.
    """
    values, sure = [], []
    for ranking in (proxy, target):
        kept = [item for item in ranking.recipes if controls or item.is_candidate]
        values.append({item.recipe: item.mean for item in kept})
    common = set(values[0]) & set(values[1])
    for ranking in (proxy, target):
        pairs = (
            frozenset((p.first, p.second)) for p in ranking.pairs if p.verdict != "cannot tell"
        )
        sure.append(frozenset(pair for pair in pairs if pair <= common))
    return agree(values[0], values[1], sure_in_proxy=sure[0], sure_in_target=sure[1])


def _spearman(x: Floats, y: Floats) -> tuple[float, float]:
    """Spearman's rho and its one-sided permutation p-value; NaN if either side is all ties."""
    ranks = [rankdata(values) - (len(x) + 1) / 2 for values in (x, y)]
    scale = math.sqrt(float((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    if scale == 0.0:
        return math.nan, math.nan
    observed = float(ranks[0] @ ranks[1])
    permuted = _permutations(ranks[1]) @ ranks[0]
    count = int((permuted >= observed - 1e-9).sum())
    exact = len(x) <= _ENUMERATED
    p = count / len(permuted) if exact else (count + 1) / (len(permuted) + 1)
    return observed / scale, p


def _permutations(values: Floats) -> Floats:
    """All orders of up to 8 values, 20,000 seeded ones of more, as rows."""
    if len(values) <= _ENUMERATED:
        return np.array(list(itertools.permutations(values)))
    repeated = np.tile(values, (_DRAWS, 1))
    return generator(0, "permutations").permuted(repeated, axis=1)


def _accuracy(
    names: list[str], x: Floats, y: Floats, only: frozenset[frozenset[str]] | None
) -> float:
    upper, lower = np.triu_indices(len(names), 1)
    alike = np.sign(x[upper] - x[lower]) * np.sign(y[upper] - y[lower])
    if only is not None:
        pairs = zip(upper, lower, strict=True)
        alike = alike[[frozenset((names[i], names[j])) in only for i, j in pairs]]
    return float(((alike + 1) / 2).mean())


def _regret(x: Floats, y: Floats) -> tuple[float, ...]:
    order = np.argsort(x, kind="stable")
    best = np.minimum.accumulate(y[order]) - y.min()
    return tuple(float(value) for value in best[:_REGRETS])


def _flips(
    names: list[str],
    x: Floats,
    y: Floats,
    sure_in_proxy: frozenset[frozenset[str]],
    sure_in_target: frozenset[frozenset[str]],
) -> tuple[Flip, ...]:
    return tuple(
        Flip(
            first=names[i],
            second=names[j],
            proxy_difference=float(x[i] - x[j]),
            target_difference=float(y[i] - y[j]),
            sure_in_proxy=frozenset((names[i], names[j])) in sure_in_proxy,
            sure_in_target=frozenset((names[i], names[j])) in sure_in_target,
        )
        for i, j in itertools.combinations(range(len(names)), 2)
        if (x[i] - x[j]) * (y[i] - y[j]) < 0
    )


def _note(count: int) -> str:
    if count < MINIMUM_FOR_TEST:
        return f"{count} recipes are too few: even perfect agreement could be chance"
    if count < MINIMUM_FOR_INTERVAL:
        return f"{count} recipes are too few for an interval of a rank correlation"
    return ""
