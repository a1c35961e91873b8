"""Intervals of rank correlations and their differences: coverage, definitions, corners."""

import math

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from curricle.analysis.correlations import (
    KENDALL,
    correlation_difference,
    correlation_interval,
)


def _spearman(first_TN: np.ndarray, second_TN: np.ndarray) -> np.ndarray:
    ranks = [rankdata(side, axis=1) - (side.shape[1] + 1) / 2 for side in (first_TN, second_TN)]
    return np.asarray((ranks[0] * ranks[1]).sum(1) / (ranks[0] ** 2).sum(1))


def _population(correlation: float) -> float:
    """Spearman's rho of a normal pair."""
    return 6 / math.pi * math.asin(correlation / 2)


@pytest.mark.parametrize("recipes", [12, 23])
@pytest.mark.parametrize("tiny_standard_between", [(0.95, 0.9, 0.9), (0.9, 0.6, 0.7)])
def test_differences_of_two_methods_are_covered(
    recipes: int, tiny_standard_between: tuple[float, float, float]
) -> None:
    """1,000 studies with known correlations of two methods with one target."""
    tiny, standard, between = tiny_standard_between
    covariance = np.array([[1, tiny, standard], [tiny, 1, between], [standard, between, 1]])
    random = np.random.default_rng([recipes, int(100 * tiny)])
    drawn = np.einsum(
        "ij,tnj->itn", np.linalg.cholesky(covariance), random.normal(size=(1000, recipes, 3))
    )
    target, first, second = drawn
    triples = zip(
        _spearman(first, target), _spearman(second, target), _spearman(first, second), strict=True
    )
    truth = _population(tiny) - _population(standard)
    found = [correlation_difference(*triple, recipes) for triple in triples]
    covered = sum((item.low or 0) <= truth <= (item.high or 0) for item in found)
    print(f"{recipes} recipes, {tiny} against {standard}: covered in {covered} of 1,000")
    assert 920 <= covered <= 980


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_single_correlations_are_covered(correlation: float) -> None:
    random = np.random.default_rng(int(100 * correlation))
    x = random.normal(size=(1000, 23))
    y = correlation * x + math.sqrt(1 - correlation**2) * random.normal(size=x.shape)
    truth = _population(correlation)
    ends = [correlation_interval(float(rho), 23) for rho in _spearman(x, y)]
    covered = sum((item.low or 0) <= truth <= (item.high or 0) for item in ends)
    print(f"rho {correlation}: covered in {covered} of 1,000")
    assert 920 <= covered <= 975


def test_published_standard_errors() -> None:
    found = correlation_interval(0.6, 30)
    half = norm.ppf(0.975) * math.sqrt((1 + 0.6**2 / 2) / 27)
    assert found.low == pytest.approx(math.tanh(math.atanh(0.6) - half))
    kendall = correlation_interval(0.6, 30, kind=KENDALL)
    half = norm.ppf(0.975) * math.sqrt(0.437 / 26)
    assert kendall.high == pytest.approx(math.tanh(math.atanh(0.6) + half))


def test_a_perfect_correlation_has_an_interval() -> None:
    found = correlation_interval(1.0, 11)
    assert found.high == 1.0
    assert found.low is not None
    assert 0.9 < found.low < 1.0
    none = correlation_difference(1.0, 0.0, 0.0, 11)
    assert none.low is not None
    assert none.low > 0, "a perfect method is better than one that knows nothing"
    assert correlation_interval(-1.0, 11).low == -1.0


def test_what_two_methods_share_narrows_their_difference() -> None:
    alike = correlation_difference(0.8, 0.8, 1.0, 20)
    apart = correlation_difference(0.8, 0.8, 0.5, 20)
    assert alike.value == 0.0
    assert (alike.high or 0) - (alike.low or 0) < ((apart.high or 0) - (apart.low or 0)) * 0.6


def test_few_recipes_and_no_order_have_no_interval() -> None:
    assert correlation_interval(0.5, 9).low is None
    assert correlation_interval(math.nan, 20).low is None
    assert correlation_difference(0.5, 0.2, 0.1, 9).low is None
