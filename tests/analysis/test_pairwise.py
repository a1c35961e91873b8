"""Pairwise intervals: against scipy, by hand, and by simulation with known truth."""

import numpy as np
import pytest
from scipy.stats import studentized_range, ttest_rel, tukey_hsd
from scipy.stats import t as student

from curricle.analysis.document_noise import DocumentNoise
from curricle.analysis.pairwise import SEED_CAP, compare_all, smallest_sufficient

RANDOM = np.random.default_rng(11)
SHIFTED = np.array([[1.0, -0.5, 0.3, -0.8], [-0.8, 1, -0.5, 0.3], [0.3, -0.8, 1, -0.5]])
# Four recipes whose sample variances are the same, so that none has more than the pooled one.
QUIET = np.vstack([SHIFTED, [[-0.5, 0.3, -0.8, 1]]])


def _none(count: int) -> np.ndarray:
    return np.zeros(count, dtype=bool)


@pytest.mark.parametrize("sizes", [(4, 4, 4), (3, 5, 4)])
def test_unpaired_runs_give_tukeys_test(sizes: tuple[int, ...]) -> None:
    """Runs that share no seed are a one-way layout: scipy's Tukey-Kramer."""
    groups = [RANDOM.normal(0.0, 1.0, size) for size in sizes]
    groups = [shift + group / group.std(ddof=1) for shift, group in enumerate(groups)]
    values = np.full((3, sum(sizes)), np.nan)
    start = 0
    for row, group in enumerate(groups):
        values[row, start : start + len(group)] = group
        start += len(group)

    found, expected = compare_all(values, _none(3), 0.95), tukey_hsd(*groups)

    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose(found.difference, expected.statistic, atol=1e-12)
    off = ~np.eye(3, dtype=bool)
    low, high = found.difference - found.margin, found.difference + found.margin
    np.testing.assert_allclose(low[off], interval.low[off], rtol=1e-5)
    np.testing.assert_allclose(high[off], interval.high[off], rtol=1e-5)
    np.testing.assert_allclose(found.p_values[off], expected.pvalue[off], rtol=1e-4)


def test_two_recipes_are_a_paired_t_test() -> None:
    values = RANDOM.normal(0, 1, (2, 5))
    expected = ttest_rel(values[0], values[1])
    low, high = expected.confidence_interval(0.95)
    found = compare_all(values, _none(2), 0.95)
    assert found.difference[0, 1] - found.margin[0, 1] == pytest.approx(low, rel=1e-6)
    assert found.difference[0, 1] + found.margin[0, 1] == pytest.approx(high, rel=1e-6)
    assert found.p_values[0, 1] == pytest.approx(expected.pvalue, rel=1e-4)


def test_controls_change_nothing_among_candidates() -> None:
    values = RANDOM.normal(0, 1, (7, 3))
    control = np.array([False] * 5 + [True] * 2)
    wild = np.vstack([values[:5], 1000 * values[5:]])
    alone = compare_all(values[:5], _none(5), 0.95)
    for table in (values, wild):
        found = compare_all(table, control, 0.95)
        np.testing.assert_allclose(found.margin[:5, :5], alone.margin)
        np.testing.assert_allclose(found.p_values[:5, :5], alone.p_values)
        np.testing.assert_allclose(found.seeds_to_settle[:5, :5], alone.seeds_to_settle)


def test_pair_with_a_noisy_control_has_games_and_howells_interval() -> None:
    values = np.vstack([QUIET + RANDOM.normal(0, 1, (4, 1)), 20 * RANDOM.normal(0, 1, (1, 4))])
    found = compare_all(values, np.array([False] * 4 + [True]), 0.95)
    fit, seeds = found.fit, 4
    own = (values[4] - fit.effects).var(ddof=1) / seeds
    pooled = fit.variance * np.diag(fit.covariance)[0]
    df = (own + pooled) ** 2 / (own**2 / 3 + pooled**2 / fit.degrees_of_freedom)
    critical = studentized_range.ppf(0.95, 5, np.floor(10 * df) / 10) / np.sqrt(2)
    assert found.margin[4, 0] == pytest.approx(critical * np.sqrt(own + pooled), rel=1e-3)


def test_controls_against_one_recipe_are_planned_comparisons() -> None:
    values = np.vstack([QUIET + RANDOM.normal(0, 1, (4, 1)), RANDOM.normal(0, 1, (2, 4))])
    control = np.array([False] * 4 + [True] * 2)
    found = compare_all(values, control, 0.95)
    fit, seeds = found.fit, 4
    own = max((values[5] - fit.effects).var(ddof=1), fit.variance) / seeds
    pooled = fit.variance * np.diag(fit.covariance)[0]
    df = seeds - 1
    error = np.sqrt(own + pooled)
    assert found.planned_margin[5, 0] == pytest.approx(student.ppf(1 - 0.05 / 4, df) * error)
    p = 2 * 2 * student.sf(abs(found.difference[5, 0]) / error, df)
    assert found.planned_p_values[5, 0] == pytest.approx(min(p, 1.0))
    np.testing.assert_array_equal(found.planned_margin[:4, :4], found.margin[:4, :4])


def test_a_quiet_control_is_not_taken_at_its_word() -> None:
    values = np.vstack([QUIET, QUIET.mean(axis=0) + 1])
    found = compare_all(values, np.array([False] * 4 + [True]), 0.95)
    assert found.margin[4, 0] > found.margin[1, 0]


@pytest.mark.parametrize(("ratio", "missing"), [(0.2, 0.0), (1.0, 0.0), (1.0, 0.2), (5.0, 0.0)])
def test_intervals_cover_jointly(ratio: float, missing: float) -> None:
    """1,000 tables of 8 candidates and 2 controls, 3 seeds; controls `ratio` times as noisy."""
    tables = 1000
    random = np.random.default_rng([int(10 * ratio), int(10 * missing)])
    truth = np.concatenate([random.normal(0, 1, 8), random.normal(0, 5, 2)])
    control = np.arange(10) >= 8
    noise = np.where(control, ratio, 1.0)[:, None]
    gaps = truth[:, None] - truth[None, :]
    held, held_controls, held_planned, rank_sets = 0, 0, 0, 0
    for _ in range(tables):
        values = truth[:, None] + random.normal(0, 3, 3) + noise * random.normal(size=(10, 3))
        values[(random.random((10, 3)) < missing) & (np.arange(3) > 0)] = np.nan
        found = compare_all(values, control, 0.95)
        inside = np.abs(found.difference - gaps) <= found.margin
        held += inside[:8, :8].all()
        held_controls += inside[8:].all()
        held_planned += (np.abs(found.difference - gaps) <= found.planned_margin)[8:, 0].all()
        rank_sets += _rank_sets_hold(truth, found.difference + found.margin < 0)
    print(f"of {tables}: {held=}, {held_controls=}, {held_planned=}, {rank_sets=}")
    assert 0.93 * tables <= held <= 0.97 * tables
    assert held_controls >= 0.93 * tables
    assert held_planned >= 0.93 * tables
    assert rank_sets >= 0.95 * tables


def _rank_sets_hold(truth: np.ndarray, surely_lower: np.ndarray) -> bool:
    ranks = truth.argsort().argsort() + 1
    low, high = 1 + surely_lower.sum(axis=0), len(truth) - surely_lower.sum(axis=1)
    return bool(((low <= ranks) & (ranks <= high)).all())


def test_seeds_to_settle_are_the_fewest_that_would_do() -> None:
    residuals = np.array([[1.0, -1, 0], [-1, 1, 0], [0, 1, -1], [0, -1, 1]])
    values = residuals / 8 + np.array([[0.0], [0.18], [0.3], [1.2]])
    found = compare_all(values, _none(4), 0.95)
    variance = found.fit.variance or 0.0

    def margin(seeds: int) -> float:
        q = studentized_range.ppf(0.95, 4, 3 * (seeds - 1))
        return float(q * np.sqrt(variance / seeds))

    for i, j in ((0, 1), (1, 2)):
        needed = int(found.seeds_to_settle[i, j])
        assert 3 < needed <= SEED_CAP
        assert margin(needed) < abs(found.difference[i, j]) <= margin(needed - 1)
    assert np.isnan(found.seeds_to_settle[0, 3]), "a settled pair needs no more seeds"


def test_no_number_of_seeds_settles_a_tie() -> None:
    values = np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [5.0, 5.5, 6.0]])
    found = compare_all(values, _none(3), 0.95)
    assert found.difference[0, 1] == 0.0
    assert np.isnan(found.seeds_to_settle[0, 1])
    assert found.p_values[0, 1] == 1.0


def test_smallest_sufficient() -> None:
    threshold = np.array([9.0, 5.0, 3.0])
    found = smallest_sufficient(np.array([10.0, 9.0, 5.5, 5.0, 1.0]), threshold)
    np.testing.assert_array_equal(found, [2, 3, 3, 4, np.nan])


def test_comparison_intervals_overlap_exactly_where_nothing_is_decided() -> None:
    values = np.vstack([QUIET, -QUIET]) + np.linspace(0, 6, 8)[:, None]
    found = compare_all(values, _none(8), 0.95)
    apart = np.abs(found.difference) > found.width[:, None] + found.width[None, :]
    np.testing.assert_array_equal(apart, np.abs(found.difference) > found.margin)


def test_documents_widen_the_intervals_and_no_seed_narrows_them() -> None:
    residuals = np.array([[1.0, -1, 0], [-1, 1, 0], [0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    values = residuals / 10 + np.linspace(0, 1, 5)[:, None]
    noise = DocumentNoise(np.eye(5) * 0.3**2, 29)
    alone, found = compare_all(values, _none(5), 0.95), compare_all(values, _none(5), 0.95, noise)
    assert alone.fit.variance is not None
    seeds = alone.fit.variance * 2 / 3
    documents = 2 * 0.3**2
    df = (seeds + documents) ** 2 / (seeds**2 / alone.fit.degrees_of_freedom + documents**2 / 29)
    critical = studentized_range.ppf(0.95, 5, np.floor(10 * df) / 10) / np.sqrt(2)
    assert found.margin[0, 1] == pytest.approx(critical * np.sqrt(seeds + documents), rel=1e-3)
    assert np.isfinite(alone.seeds_to_settle[0, 1]) or alone.margin[0, 1] < 0.25
    assert np.isnan(found.seeds_to_settle[0, 1]), "0.25 lies within the documents' own noise"


def test_intervals_over_seeds_and_documents_cover_jointly() -> None:
    """200 tables of 5 recipes, 3 seeds, 2 domains of 20 documents each, all drawn anew."""
    random, held = np.random.default_rng(5), 0
    truth = np.array([0.0, 0.2, 0.5, 1.0, 2.0])
    gaps = truth[:, None] - truth[None, :]
    for _ in range(200):
        level = random.normal(0, 5, (1, 2, 20)) + 0.5 * random.normal(size=(5, 2, 20))
        covariance = sum(np.cov(level[:, domain]) / 20 for domain in range(2)) / 4
        values = truth[:, None] + level.mean(axis=(1, 2))[:, None] + random.normal(0, 0.3, (5, 3))
        found = compare_all(values, _none(5), 0.95, DocumentNoise(np.asarray(covariance), 19))
        held += (np.abs(found.difference - gaps) <= found.margin).all()
    print(f"of 200: {held=}")
    assert held >= 0.92 * 200
