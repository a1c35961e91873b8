"""What a sweep can be expected to decide: closed forms against simulation."""

import math

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.elimination import Rule
from curricle.analysis.planning import (
    Noise,
    expected_accuracy,
    forecast,
    noise_of,
    reliability,
    seeds_for,
)
from curricle.analysis.ranking import rank
from curricle.core.errors import InputError

NOISE = Noise(standard_deviation=0.02, spread=0.03, ratio_low=1.0, ratio_high=2.5)


def _table(values_RS: np.ndarray) -> pd.DataFrame:
    rows = [(f"r{i}", s, value) for (i, s), value in np.ndenumerate(values_RS)]
    return pd.DataFrame(rows, columns=["recipe", "seed", "value"])


@pytest.mark.parametrize("seeds", [1, 3, 10])
@pytest.mark.parametrize("target_reliability", [1.0, 0.7])
def test_expected_accuracy_is_the_share_of_pairs_ordered_alike(
    seeds: int, target_reliability: float
) -> None:
    random = np.random.default_rng(seeds)
    truth = random.normal(0, NOISE.spread, (2, 200_000))
    proxy = truth + random.normal(0, NOISE.standard_deviation / math.sqrt(seeds), truth.shape)
    error = NOISE.spread * math.sqrt(1 / target_reliability - 1)
    target = truth + random.normal(0, error, truth.shape)
    alike = np.mean((proxy[0] < proxy[1]) == (target[0] < target[1]))
    found = expected_accuracy(NOISE, seeds, target_reliability=target_reliability)
    assert found.value == pytest.approx(alike, abs=0.004)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_seeds_for_an_accuracy_are_the_fewest() -> None:
    needed = seeds_for(NOISE, 0.9)
    assert needed == 5
    assert expected_accuracy(NOISE, needed).value >= 0.9 > expected_accuracy(NOISE, 4).value
    still = Noise(standard_deviation=0.02, spread=0.0, ratio_low=0.0, ratio_high=0.4)
    assert seeds_for(still, 0.9) is None
    assert expected_accuracy(still, 100).value == 0.5
    with pytest.raises(InputError, match=r"decision accuracy 1\.0"):
        seeds_for(NOISE, 1.0)


def test_noise_and_spread_of_a_ranking_are_the_true_ones() -> None:
    """1,000 studies of 12 recipes with 3 seeds: unbiased, and the ratio's interval covers."""
    random, covered, squares = np.random.default_rng(1), 0, []
    for _ in range(1000):
        truth = random.normal(0, 0.03, (12, 1))
        values = truth + random.normal(0, 1, 3) + random.normal(0, 0.02, (12, 3))
        within = values - values.mean(axis=0) - (values.mean(axis=1) - values.mean())[:, None]
        deviation = math.sqrt((within**2).sum() / 22)
        found = noise_of(_Summary(values, deviation, 22))  # type: ignore[arg-type]
        assert found is not None
        covered += found.ratio_low <= 1.5 <= found.ratio_high
        squares.append(found.spread**2)
    print(f"ratio covered in {covered} of 1,000 studies")
    assert 930 <= covered <= 970
    assert math.sqrt(np.mean(squares)) == pytest.approx(0.03, rel=0.03)


class _Summary:
    """What `noise_of` reads of a ranking, without ranking a thousand times."""

    def __init__(self, values: np.ndarray, deviation: float, degrees: int) -> None:
        self.standard_deviation, self.degrees_of_freedom = deviation, degrees
        self.candidates = [_Row(tuple(row)) for row in values]


class _Row:
    def __init__(self, values: tuple[float, ...]) -> None:
        self.runs, self.mean = len(values), float(np.mean(values))


def test_noise_of_a_whole_ranking() -> None:
    values = np.random.default_rng(2).normal(0, 0.02, (10, 3)) + np.linspace(0, 0.1, 10)[:, None]
    ranking = rank(_table(values), "r0")
    found = noise_of(ranking)
    assert found is not None
    assert found.standard_deviation == ranking.standard_deviation
    assert found.ratio_low < found.ratio < found.ratio_high
    assert noise_of(rank(_table(values[:, :1]), "r0")) is None


def test_no_noise_is_certain_and_no_spread_is_a_coin() -> None:
    clear = noise_of(rank(_table(np.array([[1.0, 2.0], [2.0, 3.0], [5.0, 6.0]])), "r0"))
    assert clear is not None
    assert clear.ratio == math.inf
    assert reliability(clear.ratio, 1) == 1.0
    assert expected_accuracy(clear, 1).value == 1.0
    equal = noise_of(rank(_table(np.array([[1.0, 2.0], [1.0, 2.0]])), "r0"))
    assert equal is not None
    assert expected_accuracy(equal, 3).value in (0.5, 1.0)


def test_forecast_of_a_budget() -> None:
    costs = {f"r{i}": 1.0 for i in range(10)}
    poor = forecast(NOISE, costs, 30.0, Rule(first=3, most=12), simulations=60)
    rich = forecast(NOISE, costs, 90.0, Rule(first=3, most=12), simulations=60)
    assert poor.runs == 30
    assert poor.seeds == 3
    assert rich.runs <= 90
    assert rich.seeds > 90 / len(costs), "what is dropped pays for more seeds of the rest"
    assert rich.left < poor.left
    assert rich.best_chosen >= poor.best_chosen
    assert rich.regret <= poor.regret
    assert rich == forecast(NOISE, costs, 90.0, Rule(first=3, most=12), simulations=60)
