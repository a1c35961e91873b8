"""What a sweep can be expected to decide, before it is run: from the noise of the runs so far.

Model: a recipe's loss is its true value, normal with standard deviation `spread` over recipes, plus
a run's noise, normal with `standard_deviation`. With s seeds the reliability of a mean is
r = spread^2 / (spread^2 + standard_deviation^2 / s), and two recipes come out in their true order
with probability 1/2 + arcsin(sqrt(r)) / pi (the sign of a bivariate normal pair with correlation
sqrt(r); Sheppard 1899), which is the expected decision accuracy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import f as fisher

from curricle.analysis.elimination import Rule, check_costs, round_of, survivors
from curricle.analysis.ranked import Ranking
from curricle.core.bootstrap import Interval
from curricle.core.errors import InputError
from curricle.core.seeds import generator

Floats = npt.NDArray[np.float64]

SIMULATIONS = 200


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Standard deviations of one run and of the recipes' true values.

    `ratio_low` to `ratio_high` is the 95 % interval of spread / standard_deviation.
    """

    standard_deviation: float
    spread: float
    ratio_low: float
    ratio_high: float

    @property
    def ratio(self) -> float:
        """Spread over noise; infinite without noise."""
        return self.spread / self.standard_deviation if self.standard_deviation else math.inf


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a budget is expected to buy, as means over simulated studies.

    `seeds` is the number that the surviving recipes reach, `runs` all runs together, `left` the
    recipes that can still be the best at the end, `best_chosen` the probability that the lowest
    mean belongs to the true best, `regret` the chosen one's true distance to it.
    """

    seeds: float
    runs: float
    left: float
    best_chosen: float
    regret: float


def noise_of(ranking: Ranking) -> Noise | None:
    """The noise that a ranking's candidates show; None without repeated runs.

    The spread is the moment estimate; its ratio to the noise has the exact interval of the one-way
    layout with random effects (Searle, Casella & McCulloch 1992, section 3.6).
    """
    deviation, candidates = ranking.standard_deviation, ranking.candidates
    if deviation is None or len(candidates) < 2:
        return None
    counts = [item.runs for item in candidates]
    seeds = len(counts) / sum(1 / count for count in counts)
    between = float(np.var([item.mean for item in candidates], ddof=1))
    if deviation == 0.0:
        low, high = (math.inf, math.inf) if between else (0.0, 0.0)
    else:
        statistic = seeds * between / deviation**2
        degrees = len(candidates) - 1, ranking.degrees_of_freedom
        ends = statistic / fisher.ppf([0.975, 0.025], *degrees)
        low, high = np.sqrt(np.maximum(ends - 1, 0.0) / seeds)
    return Noise(
        standard_deviation=deviation,
        spread=math.sqrt(max(between - deviation**2 / seeds, 0.0)),
        ratio_low=float(low),
        ratio_high=float(high),
    )


def reliability(ratio: float, seeds: float) -> float:
    """Share of the variance of a mean over `seeds` that is the recipes' own; see the module."""
    return 1.0 if math.isinf(ratio) else ratio**2 / (ratio**2 + 1 / seeds)


def expected_accuracy(noise: Noise, seeds: float, *, target_reliability: float = 1.0) -> Interval:
    """Expected share of pairs that a ranking over `seeds` orders as the truth does.

    With `target_reliability` below 1: as a target ranking does that is itself noisy. The proxy is
    taken to be right but for its noise, so this is the most that can be expected of it.
    """
    value, low, high = (
        0.5 + math.asin(math.sqrt(reliability(ratio, seeds) * target_reliability)) / math.pi
        for ratio in (noise.ratio, noise.ratio_low, noise.ratio_high)
    )
    return Interval(value, low, high)


def seeds_for(noise: Noise, accuracy: float) -> int | None:
    """The fewest seeds per recipe with an expected accuracy of `accuracy`; None if none suffices.

    Raises InputError for an accuracy outside 0.5 to 1.
    """
    if not 0.5 < accuracy < 1:
        raise InputError(
            f"decision accuracy {accuracy}", expected="between 0.5 and 1", fix="take 0.9"
        )
    wanted = math.sin(math.pi * (accuracy - 0.5)) ** 2
    if noise.ratio == 0:
        return None
    return max(1, math.ceil(wanted / (1 - wanted) / noise.ratio**2 - 1e-9))


def forecast(
    noise: Noise,
    costs: Mapping[str, float],
    budget: float,
    rule: Rule | None = None,
    *,
    simulations: int = SIMULATIONS,
) -> Forecast:
    """Play successive elimination through on `simulations` made-up studies with this noise.

    `costs` and `budget` as in `next_round`. Raises InputError as it does.
    """
    rule = rule or Rule()
    check_costs(list(costs), costs)
    random = generator(0, "forecast")
    rows = [_play(noise, costs, budget, rule, random) for _ in range(simulations)]
    seeds, runs, left, chosen, regret = np.mean(rows, axis=0)
    return Forecast(
        seeds=float(seeds),
        runs=float(runs),
        left=float(left),
        best_chosen=float(chosen),
        regret=float(regret),
    )


def _play(
    noise: Noise,
    costs: Mapping[str, float],
    budget: float,
    rule: Rule,
    random: np.random.Generator,
) -> Sequence[float]:
    """One made-up study: seeds, runs, recipes left, whether the best was chosen, its regret."""
    names = np.array(list(costs))
    truth_R = random.normal(0, noise.spread, len(names))
    values_RS = np.full((len(names), rule.most), np.nan)
    alive_R = np.ones(len(names), dtype=bool)
    left, done, runs = budget, 0, 0
    while step := round_of(tuple(names[alive_R]), done, costs, left, rule):
        size = (int(alive_R.sum()), step.stop - step.start)
        scatter = random.normal(0, noise.standard_deviation, size)
        values_RS[alive_R, step.start : step.stop] = truth_R[alive_R, None] + scatter
        table = values_RS[:, : step.stop]
        alive_R = survivors(table, rule, before=alive_R, looked_at=done)
        left, done, runs = left - step.cost, step.stop, runs + scatter.size
    means_R = np.where(alive_R, values_RS[:, :done].mean(axis=1), np.inf)
    regret = float(truth_R[means_R.argmin()] - truth_R.min())
    return done, runs, int(alive_R.sum()), float(regret == 0.0), regret
