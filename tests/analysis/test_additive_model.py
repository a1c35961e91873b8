"""The fit against plain least squares on the full design matrix."""

import numpy as np
import pytest

from curricle.analysis.additive_model import fit_additive


def _design(present: np.ndarray) -> np.ndarray:
    recipes, seeds = present.shape
    rows = []
    for recipe, seed in zip(*np.nonzero(present), strict=True):
        row = np.zeros(recipes + seeds)
        row[recipe] = row[recipes + seed] = 1.0
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_means_covariance_and_variance_are_those_of_least_squares(missing: float) -> None:
    random = np.random.default_rng(1)
    values = 8 + random.normal(0, 1, (6, 5))
    values[random.random((6, 5)) < missing] = np.nan
    values[:, 0] = random.normal(0, 1, 6)
    present = np.isfinite(values)
    design, observed = _design(present), values[present]
    solution, *_ = np.linalg.lstsq(design, observed, rcond=None)
    # The mean of a recipe over all seeds: its own effect and the average seed effect.
    select = np.hstack([np.eye(6), np.full((6, 5), 1 / 5)])
    covariance = select @ np.linalg.pinv(design.T @ design) @ select.T
    residual = observed - design @ solution
    df = len(observed) - np.linalg.matrix_rank(design)

    fit = fit_additive(values)

    assert fit.blocked
    assert fit.degrees_of_freedom == df
    np.testing.assert_allclose(fit.means, select @ solution)
    np.testing.assert_allclose(fit.covariance, covariance, atol=1e-12)
    assert fit.variance == pytest.approx(float(residual @ residual) / df)


def test_balanced_table_by_hand() -> None:
    fit = fit_additive(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 3.0]]))
    np.testing.assert_allclose(fit.means, [2.0, 3.0])
    np.testing.assert_allclose(fit.effects, [-1.0, 0.5, 0.5])
    # Paired differences 1, 2, 0: variance 1, which is twice the error variance.
    assert fit.variance == pytest.approx(0.5)
    assert fit.degrees_of_freedom == 2


def test_seeds_that_are_not_shared_count_as_noise() -> None:
    values = np.full((2, 4), np.nan)
    values[0, :2], values[1, 2:] = [1.0, 3.0], [5.0, 9.0]
    fit = fit_additive(values)
    assert not fit.blocked
    assert fit.degrees_of_freedom == 2
    assert fit.variance == pytest.approx((2.0 + 8.0) / 2)
    np.testing.assert_allclose(fit.means, [2.0, 7.0])


def test_one_seed_has_no_variance() -> None:
    fit = fit_additive(np.array([[1.0], [2.0]]))
    assert fit.variance is None
    assert fit.degrees_of_freedom == 0


def test_rounding_is_not_noise() -> None:
    values = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]) * 3
    assert fit_additive(values).variance == 0.0
