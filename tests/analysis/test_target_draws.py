"""Draws of the targets' true losses: calibrated against known truth, and exact without noise."""

import numpy as np
import pytest

from curricle.analysis.methods import _accuracies, _regrets, _spearmans
from curricle.analysis.target_draws import draw_targets


@pytest.mark.parametrize("fidelity", [0.5, 0.95])
@pytest.mark.parametrize("noise", [1.0, 0.3])
def test_what_a_choice_is_worth_in_truth_is_covered(fidelity: float, noise: float) -> None:
    """300 studies of 12 recipes with 3 target seeds: regret, pairs and rho of the very choice."""
    random = np.random.default_rng([int(100 * fidelity), int(10 * noise)])
    covered = np.zeros(3)
    for _ in range(300):
        truth = random.normal(size=12)
        proxy = fidelity * truth + np.sqrt(1 - fidelity**2) * random.normal(size=12)
        runs = truth[:, None] + noise * random.normal(size=(12, 3))
        variance = np.full(12, runs.var(axis=1, ddof=1).mean() / 3)
        drawn = draw_targets(runs.mean(axis=1), variance, 24, proxy, draws=500)
        for place, statistic in enumerate((_spearmans, _accuracies, _first_regret)):
            low, high = np.quantile(statistic(proxy, drawn), [0.025, 0.975])
            covered[place] += low - 1e-9 <= statistic(proxy, truth[None])[0] <= high + 1e-9
    print(f"fidelity {fidelity}, noise {noise}: rho, pairs, regret covered in {covered / 3} %")
    assert (covered >= 0.92 * 300).all()


def _first_regret(proxy: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return _regrets(proxy, drawn, 1)


def test_without_noise_the_draws_are_the_measured_losses() -> None:
    measured = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    drawn = draw_targets(measured, np.zeros(6), 12, np.arange(6.0), draws=10)
    np.testing.assert_array_equal(drawn, np.tile(measured, (10, 1)))


def test_few_recipes_scatter_around_their_means() -> None:
    drawn = draw_targets(np.array([1.0, 2.0, 3.0]), np.full(3, 0.01), 200, np.arange(3.0))
    np.testing.assert_allclose(drawn.mean(axis=0), [1.0, 2.0, 3.0], atol=0.01)
    np.testing.assert_allclose(drawn.std(axis=0), 0.1, rtol=0.05)


def test_equal_recipes_are_drawn_together() -> None:
    """With noise alone between the means the draws shrink towards a line."""
    random = np.random.default_rng(1)
    measured = random.normal(0, 1, 20)
    drawn = draw_targets(measured, np.full(20, 1.0), 40, random.normal(size=20))
    assert drawn.mean(axis=0).std() < 0.7 * measured.std()
