"""Critical values and p-values against scipy's own distributions."""

import numpy as np
import pytest
from scipy.stats import multivariate_t, studentized_range
from scipy.stats import t as student

from curricle.analysis.simultaneous import SMALLEST_P, all_pairs, contrasts


@pytest.mark.parametrize(("groups", "df"), [(2, 1), (3, 4), (8, 14), (10, 2.3), (300, 598)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_critical_value_of_all_pairs_is_tukeys(groups: int, df: float, confidence: float) -> None:
    expected = studentized_range.ppf(confidence, groups, df) / np.sqrt(2)
    assert all_pairs(groups).critical(df, confidence) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("groups", "df"), [(2, 3), (8, 14), (25, 60)])
def test_p_values_of_all_pairs_are_tukeys(groups: int, df: float) -> None:
    statistics = np.array([0.0, 0.3, 1.0, 2.0, 3.0, 4.5])
    expected = studentized_range.sf(statistics * np.sqrt(2), groups, df)
    found = all_pairs(groups).p_values(statistics, df)
    np.testing.assert_allclose(found, np.maximum(expected, SMALLEST_P), rtol=1e-4)


def test_many_p_values_are_interpolated_between_exact_ones() -> None:
    random = np.random.default_rng(0)
    many = random.exponential(2.0, (100, 100))
    family = all_pairs(12)
    exact = np.concatenate([family.p_values(row, 22) for row in many[:3]])
    np.testing.assert_allclose(family.p_values(many, 22)[:3].ravel(), exact, rtol=2e-3, atol=1e-6)


def test_critical_values_at_many_degrees_of_freedom_agree_with_single_ones() -> None:
    df = np.array([1.0, 1.3, 2.0, 3.7, 9.0, 40.0, 5000.0])
    single = [all_pairs(7).critical(float(value), 0.95) for value in df]
    np.testing.assert_allclose(all_pairs(7).criticals(df, 0.95), single, rtol=1e-4)


def test_one_contrast_is_students_t() -> None:
    family = contrasts(np.eye(1))
    assert family.critical(2, 0.95) == pytest.approx(student.ppf(0.975, 2), rel=1e-6)
    expected = 2 * student.sf([0.5, 4.0, 40.0], 2)
    np.testing.assert_allclose(family.p_values(np.array([0.5, 4.0, 40.0]), 2), expected, rtol=1e-4)


@pytest.mark.parametrize(("count", "df"), [(2, 6), (3, 6), (5, 20)])
def test_correlated_contrasts_hold_jointly(count: int, df: int) -> None:
    correlation = np.full((count, count), 0.5) + 0.5 * np.eye(count)
    critical = contrasts(correlation).critical(df, 0.95)
    ends = np.full(count, critical)
    inside = multivariate_t.cdf(
        ends, shape=correlation, df=df, lower_limit=-ends, random_state=0, maxpts=200_000
    )
    assert inside == pytest.approx(0.95, abs=0.002)


def test_dunnetts_table() -> None:
    """Three treatments against a control, 6 degrees of freedom, two-sided 5 %: 3.10."""
    correlation = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    assert contrasts(correlation).critical(6, 0.95) == pytest.approx(3.10, abs=0.015)
