"""Draws of ranks: against the t distribution, by brute force, and in their corners."""

import numpy as np
import pytest
from scipy.stats import rankdata, ttest_rel

from curricle.analysis.document_noise import DocumentNoise
from curricle.analysis.pairwise import compare_all
from curricle.analysis.rank_draws import _ranks, draw_ranks


def _all(count: int) -> np.ndarray:
    return np.ones(count, dtype=bool)


def test_probability_best_of_two_is_the_t_distribution() -> None:
    values = np.array([[0.0, 0.2, 0.1, 0.4], [0.2, 0.3, 0.4, 0.4]])
    found = draw_ranks(compare_all(values, ~_all(2), 0.95), _all(2), 0.95, draws=40_000)
    one_sided = ttest_rel(values[0], values[1], alternative="greater").pvalue
    assert found.best[0] == pytest.approx(one_sided, abs=0.01)
    assert found.best.sum() == pytest.approx(1.0)


def test_controls_stay_out_and_ties_share() -> None:
    values = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [0.0, 0.5]])
    control = np.array([False, False, False, True])
    found = draw_ranks(compare_all(values, control, 0.95), ~control, 0.95)
    np.testing.assert_allclose(found.best, [0.5, 0.5, 0.0, np.nan])
    np.testing.assert_allclose(found.low, [1, 1, 3, np.nan])
    np.testing.assert_allclose(found.high, [1, 1, 3, np.nan])


def test_without_an_error_estimate_nothing_is_drawn() -> None:
    found = draw_ranks(compare_all(np.array([[1.0], [2.0]]), ~_all(2), 0.95), _all(2), 0.95)
    assert np.isnan([found.best, found.low, found.high]).all()


def test_ranks_are_scipys_with_ties() -> None:
    values = np.random.default_rng(1).integers(0, 5, (50, 9)).astype(float)
    np.testing.assert_array_equal(_ranks(values), rankdata(values, method="min", axis=1))


def test_rank_intervals_follow_the_noise() -> None:
    """Equal recipes could have any rank; recipes ten standard errors apart have one each."""
    random = np.random.default_rng(2)
    noise = random.normal(0, 1, (6, 5)) + random.normal(0, 9, 5)
    blurred = draw_ranks(compare_all(noise, ~_all(6), 0.95), _all(6), 0.95)
    clear_table = noise + 20 * np.arange(6)[:, None]
    clear = draw_ranks(compare_all(clear_table, ~_all(6), 0.95), _all(6), 0.95)
    assert (blurred.high - blurred.low).mean() >= 3
    np.testing.assert_array_equal(clear.low, np.arange(1, 7))
    np.testing.assert_array_equal(clear.high, np.arange(1, 7))


def test_missing_runs_widen_the_draws_as_least_squares_says() -> None:
    """The share of draws in which a recipe wins is the t probability of its own standard error."""
    values = np.array([[0.0, 0.3, 0.1, 0.2], [0.1, 0.5, np.nan, np.nan]])
    pairwise = compare_all(values, ~_all(2), 0.95)
    found = draw_ranks(pairwise, _all(2), 0.95, draws=40_000)
    p_value = pairwise.p_values[0, 1]
    assert found.best[1] == pytest.approx(p_value / 2, abs=0.01)


def test_noise_of_documents_makes_the_best_less_sure() -> None:
    values = np.array([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5], [0.31, 0.38, 0.52]])
    noise = DocumentNoise(np.eye(3) * 0.2**2, 19)
    sure = draw_ranks(compare_all(values, ~_all(3), 0.95), _all(3), 0.95)
    unsure = draw_ranks(compare_all(values, ~_all(3), 0.95, noise), _all(3), 0.95)
    assert sure.best[0] > 0.99
    assert 0.7 < unsure.best[0] < 0.95
