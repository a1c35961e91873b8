"""Which recipes to go on with, and for how many seeds: successive elimination under a budget.

Every recipe starts with the same seeds. At each **look** a recipe is dropped if another one is
surely better; the others get more seeds, all of them the same ones. The true best recipe is ever
dropped with a probability of at most 1 - confidence: to drop it, its mean must exceed another's by
more than Dunnett's one-sided critical value, and the error is divided evenly over the looks
(Bonferroni). The critical value stays that of all recipes although fewer are left, which is on the
safe side. The noise is pooled: a best recipe that is much noisier than the others is dropped more
often. Controls have no part in it: each gets the seeds of the candidates until one of them is
surely better than it, which is all that a control is there to show. After Even-Dar, Mannor &
Mansour (2006), with intervals for normal noise of unknown size in place of Hoeffding's, which would
need a bound on the losses.

Shape suffixes: R recipes, S seeds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricle.analysis.additive_model import fit_additive
from curricle.analysis.cautions import MINIMUM_SEEDS
from curricle.analysis.simultaneous import one_against_others
from curricle.core.errors import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_GROWTH = 1.25


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When recipes are looked at: after `first` seeds, then ever more rarely, at last after `most`.

    `confidence` is the probability that the best recipe survives all looks.
    """

    first: int = MINIMUM_SEEDS
    most: int = 20
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 2 <= self.first <= self.most:
            raise InputError(
                f"first look after {self.first} seeds, last after {self.most}",
                expected="at least two seeds, and no fewer at the last look",
                fix="correct the numbers of seeds",
            )

    def looks(self) -> tuple[int, ...]:
        """Seeds per recipe at each look, rising by a quarter or at least by one."""
        found = [self.first]
        while found[-1] < self.most:
            found.append(min(max(found[-1] + 1, int(found[-1] * _GROWTH)), self.most))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What to run next: seeds `start` to `stop` - 1 (counted from 0) of each of `recipes`."""

    recipes: tuple[str, ...]
    start: int
    stop: int
    cost: float


def survivors(
    values_RS: Floats, rule: Rule, *, before: Bools | None = None, looked_at: int = 0
) -> Bools:
    """Which recipes can still be the best, (R,); replays all looks that the table has reached.

    Columns are the seeds in the order in which they were run, NaN where a run failed or was not
    asked for. A recipe with fewer than two values at a look is not judged there, and stays. If
    those who survived the looks up to `looked_at` seeds are known, `before` spares the replay.
    """
    alive = np.ones(len(values_RS), dtype=bool) if before is None else before.copy()
    looks = rule.looks()
    level = 1 - (1 - rule.confidence) / len(looks)
    for seeds in looks:
        if looked_at < seeds <= values_RS.shape[1] and alive.sum() > 1:
            alive &= ~_beaten(values_RS[:, :seeds], alive, level)
    return alive


def next_round(
    values: Mapping[str, Sequence[float]],
    costs: Mapping[str, float],
    left: float,
    rule: Rule | None = None,
    *,
    controls: Collection[str] = (),
) -> Round | None:
    """The next runs that `left` pays for; None once a single candidate, the last look or no money
    is left.

    `values` has for each recipe one number per seed asked for so far (NaN for a failed run, nothing
    for a dropped recipe's later seeds), `costs` the price of one run of it. All candidates that can
    still be the best get the same seeds, or none does; so do those of the `controls` that no
    candidate surely beats. Raises InputError if the first round is too expensive, or a recipe has
    no positive price.
    """
    rule = rule or Rule()
    check_costs(list(values), costs)
    done = max(map(len, values.values()))
    candidates = {name: values[name] for name in values if name not in controls}
    staying = _staying(candidates, rule)
    if done and len(staying) == 1:
        return None
    for name in values.keys() - candidates.keys():
        if name in _staying({**candidates, name: values[name]}, rule):
            staying.add(name)
    ordered = tuple(name for name in values if name in staying)
    return round_of(ordered, done, costs, left, rule)


def _staying(values: Mapping[str, Sequence[float]], rule: Rule) -> set[str]:
    """The recipes of `values` that can still be the best of them."""
    alive = survivors(_matrix(values), rule)
    return {name for name, lives in zip(values, alive, strict=True) if lives}


def round_of(
    staying: tuple[str, ...], done: int, costs: Mapping[str, float], left: float, rule: Rule
) -> Round | None:
    """`next_round` once it is known which recipes stay, each with `done` seeds."""
    later = [seeds for seeds in rule.looks() if seeds > done]
    if not later or (done and len(staying) == 1):
        return None
    price = sum(costs[name] for name in staying)
    affordable = int(left / price * (1 + 1e-12))
    if not done and affordable < rule.first:
        raise InputError(
            f"a budget for {affordable} seeds of {len(staying)} recipes",
            expected=f"at least {rule.first} seeds of each ({rule.first * price / left:.1f} times "
            "the budget)",
            fix="raise the budget, shorten the proxies or take recipes out",
        )
    seeds = min(affordable, later[0] - done)
    if seeds < 1:
        return None
    return Round(recipes=staying, start=done, stop=done + seeds, cost=seeds * price)


def budget_shares(
    flops: Mapping[str, float],
    seconds: Mapping[str, float],
    *,
    budget_flops: float | None = None,
    budget_seconds: float | None = None,
) -> dict[str, float]:
    """Each recipe's price of one run as a share of the budget: of the tighter one if there are two.

    With these `next_round` has `left` = 1 - what has been spent. Raises InputError without a
    budget, or for one that isn't positive.
    """
    budgets = [(flops, budget_flops), (seconds, budget_seconds)]
    given = [(price, budget) for price, budget in budgets if budget is not None]
    if not given or any(budget <= 0 for _, budget in given):
        raise InputError(
            f"a budget of {budget_flops} FLOP and {budget_seconds} seconds",
            expected="at least one, and more than 0",
            fix="give --budget-flops or --budget-hours",
        )
    return {name: max(price[name] / budget for price, budget in given) for name in flops}


def _beaten(values_RS: Floats, alive: Bools, level: float) -> Bools:
    """The recipes that another living one is surely better than at this look (R,)."""
    beaten = np.zeros(len(values_RS), dtype=bool)
    fitted = np.isfinite(values_RS).any(axis=1)
    fit = fit_additive(values_RS[fitted]) if fitted.any() else None
    if fit is None or fit.variance is None:
        return beaten
    critical = one_against_others(len(values_RS)).critical(fit.degrees_of_freedom, level)
    own = np.diag(fit.covariance)
    scale = np.clip(own[:, None] + own[None, :] - 2 * fit.covariance, 0.0, None)
    worse = fit.means[:, None] - fit.means[None, :] > critical * np.sqrt(scale * fit.variance)
    judged = (alive & (np.isfinite(values_RS).sum(axis=1) > 1))[fitted]
    beaten[fitted] = judged & (worse & judged[None, :]).any(axis=1)
    return beaten


def _matrix(values: Mapping[str, Sequence[float]]) -> Floats:
    seeds = max(map(len, values.values()), default=0)
    matrix = np.full((len(values), seeds), np.nan)
    for row, numbers in zip(matrix, values.values(), strict=True):
        row[: len(numbers)] = np.where(np.isfinite(numbers), numbers, np.nan)
    return matrix


def check_costs(names: Sequence[str], costs: Mapping[str, float]) -> None:
    """Raise InputError for fewer than two recipes, or one without a positive price."""
    if len(names) < 2:
        raise InputError(
            f"{len(names)} recipes", expected="at least two to choose from", fix="add recipes"
        )
    for name in names:
        if not costs.get(name, 0.0) > 0:
            raise InputError(
                f"recipe {name!r} with a price of {costs.get(name)}",
                expected="a positive price of one run",
                fix="give its FLOPs or its seconds",
            )
