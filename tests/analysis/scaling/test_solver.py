"""The batched solver against scipy's."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import huber as scipy_huber
from tests.analysis.scaling.made_up import chinchilla_runs, power_runs

from curricle.analysis.scaling.laws import (
    Floats,
    Law,
    chinchilla_law,
    chinchilla_starts,
    power_law,
    power_starts,
)
from curricle.analysis.scaling.solver import LEAST_SQUARES, huber, minimise, search


def scipys(law: Law, log_loss: Floats, start: Floats, delta: float) -> tuple[Floats, float]:
    """One quasi-Newton run on the summed Huber loss."""

    def objective(theta: Floats) -> tuple[float, Floats]:
        value, gradient = law.log_loss(theta[None])
        residual = value[0] - log_loss
        slope = np.clip(residual, -delta, delta) @ gradient[0]
        return float(scipy_huber(delta, residual).sum()) * 1e6, slope * 1e6

    found = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-6})
    return np.asarray(found.x), float(found.fun) / 1e6


def test_hubers_loss_is_scipys() -> None:
    residual = np.linspace(-0.02, 0.02, 41)
    np.testing.assert_allclose(huber(residual, 1e-3), scipy_huber(1e-3, residual))
    np.testing.assert_allclose(huber(residual, LEAST_SQUARES), residual**2 / 2)


def test_the_grid_ends_where_scipy_does() -> None:
    points = chinchilla_runs(np.random.default_rng(2), models=8, ratios=5)
    law = chinchilla_law(points.inputs["parameters"], points.inputs["tokens"])
    found = search(law, points.log_loss, chinchilla_starts()[::7], delta=1e-3)
    theta, objective = scipys(law, points.log_loss, found.theta[found.best], 1e-3)
    assert found.objective[found.best] <= objective * (1 + 1e-9)
    np.testing.assert_allclose(law.natural(found.theta[found.best]), law.natural(theta), rtol=1e-4)


def test_weights_count_points_and_every_start_may_have_its_data() -> None:
    random = np.random.default_rng(3)
    points = power_runs(random, count=8, seeds=1)
    x = points.inputs["x"]
    counts = np.array([[2, 1, 0, 1, 3, 1, 1, 2], [1] * 8], dtype=float)
    start = search(power_law(x), points.log_loss, power_starts(x, points.loss))
    both = minimise(power_law(x), points.log_loss, np.repeat(start.theta[:1], 2, 0), weights=counts)
    repeated = np.repeat(np.arange(8), counts[0].astype(int))
    alone = minimise(power_law(x[repeated]), points.log_loss[repeated], start.theta[:1])
    np.testing.assert_allclose(both.theta[0], alone.theta[0], rtol=1e-5)
    np.testing.assert_allclose(both.objective[0], alone.objective[0], rtol=1e-9)
    np.testing.assert_allclose(both.theta[1], start.theta[start.best], rtol=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_a_power_law_comes_back(noise: float) -> None:
    points = power_runs(np.random.default_rng(4), noise=noise)
    x = points.inputs["x"]
    found = search(power_law(x), points.log_loss, power_starts(x, points.loss))
    natural = power_law(x).natural(found.theta[found.best])
    np.testing.assert_allclose(natural, [20, 1.5, 0.3], rtol=0.1 if noise else 1e-6)
