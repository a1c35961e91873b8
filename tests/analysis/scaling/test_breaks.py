"""Planted breaks are found where they lie, straight laws are left straight."""

import json
from collections import Counter

import numpy as np
import pytest
from tests.analysis.scaling.made_up import broken_runs, power_runs

from curricle.analysis.scaling.breaks import CANNOT_TELL, NO_BREAK, find_breaks
from curricle.analysis.scaling.evidence import evidence, extra_squares_p_value


def _errors(random: np.random.Generator, count: int) -> list[float]:
    """Relative errors of a break's place, anywhere among the middle sizes; infinite if missed."""
    errors = []
    for place in np.exp(random.uniform(np.log(4e4), np.log(2.5e5), count)):
        found = find_breaks(broken_runs(random, place, noise=0.001), bootstrap=39)
        hit = found.verdict.startswith("break at") and found.chosen == 1
        errors.append(abs(found.parameters["break_1"] / place - 1) if hit else np.inf)
    return errors


def test_a_planted_break_is_found_within_ten_percent() -> None:
    assert max(_errors(np.random.default_rng(21), 4)) < 0.1


def test_a_straight_law_is_called_unbroken() -> None:
    random = np.random.default_rng(22)
    found = [find_breaks(power_runs(random), bootstrap=0, most_breaks=1) for _ in range(20)]
    assert [item.verdict for item in found].count(NO_BREAK) >= 19


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_planted_breaks_are_found_within_ten_percent() -> None:
    assert np.mean(np.array(_errors(np.random.default_rng(23), 100)) < 0.1) >= 0.95


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("count", "seeds", "noise"), [(12, 1, 0.001), (12, 3, 0.003)])
def test_straight_laws_are_called_unbroken(count: int, seeds: int, noise: float) -> None:
    random = np.random.default_rng(24)
    runs = (power_runs(random, count=count, seeds=seeds, noise=noise) for _ in range(300))
    verdicts = Counter(find_breaks(points, bootstrap=0).verdict for points in runs)
    assert verdicts[NO_BREAK] >= 0.95 * 300, verdicts


@pytest.mark.parametrize(
    ("count", "noise", "reason"),
    [(12, 0.1, "wouldn't show in this noise"), (6, 0.003, "6 sizes can't tell")],
)
def test_poor_points_tell_nothing(count: int, noise: float, reason: str) -> None:
    points = power_runs(np.random.default_rng(25), count=count, noise=noise)
    found = find_breaks(points, bootstrap=0)
    assert found.verdict == CANNOT_TELL
    assert reason in found.reason


def test_the_interval_holds_the_planted_place() -> None:
    found = find_breaks(broken_runs(np.random.default_rng(26), 1e5), bootstrap=200)
    low, high = found.intervals["break_1"]
    assert low < 1e5 < high
    assert found.fits[1].criterion < found.fits[0].criterion
    assert found.fits[1].held_out < found.fits[0].held_out
    np.testing.assert_allclose(np.quantile(found.places(), 0.5), 1e5, rtol=0.1)
    assert json.dumps(found.to_plain(), allow_nan=False)


def test_evidence_is_bic_for_many_points_and_stricter_for_few() -> None:
    bic = 1e6 * np.log(1.00005) - 3 * np.log(1e6)
    assert evidence(10**6, 6, 3, 1.00005, 1.0) == pytest.approx(bic, rel=1e-3)
    assert evidence(12, 6, 3, 2.5, 1.0) < 12 * np.log(2.5) - 3 * np.log(12)
    assert evidence(6, 6, 3, 2.5, 1.0) == -np.inf


def test_the_f_test_is_linear_regressions() -> None:
    """One slope: F is the square of Student's t."""
    from scipy.stats import linregress

    random = np.random.default_rng(27)
    x, y = random.normal(size=(2, 15))
    line = linregress(x, y)
    fewer = ((y - y.mean()) ** 2).sum()
    more = ((y - line.intercept - line.slope * x) ** 2).sum()
    assert extra_squares_p_value(15, 2, 1, fewer, more) == pytest.approx(line.pvalue)
