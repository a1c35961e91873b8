"""Fits against the published refit, intervals against known truth, bad input against messages."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.analysis.scaling.made_up import (
    CHINCHILLA,
    POWER,
    PUBLISHED_RUNS,
    chinchilla_runs,
    power_runs,
)
from tests.analysis.scaling.test_solver import scipys

from curricle.analysis.scaling.bootstrap import leverage, pairs_bootstrap, percentile_interval
from curricle.analysis.scaling.fitting import (
    HUBER_DELTA,
    ScalingFit,
    fit_chinchilla,
    fit_power,
    largest_sizes,
)
from curricle.analysis.scaling.laws import Floats, chinchilla_law, chinchilla_starts
from curricle.analysis.scaling.points import Points, chinchilla_points, power_points
from curricle.analysis.scaling.solver import minimise, search
from curricle.core.errors import InputError

needs_published = pytest.mark.skipif(
    not PUBLISHED_RUNS.exists(), reason="needs ../shared/data/chinchilla"
)


def published_points() -> Points:
    table = pd.read_csv(PUBLISHED_RUNS)
    points = chinchilla_points(table, "Model Size", "loss", flops="Training FLOP")
    return points.without_highest(5)


@pytest.fixture(scope="module")
def refit() -> ScalingFit:
    return fit_chinchilla(published_points())


@needs_published
def test_the_published_refit_comes_out(refit: ScalingFit) -> None:
    found = refit.parameters
    for name in ("alpha", "beta", "E"):
        assert found[name] == pytest.approx(CHINCHILLA[name], rel=0.01), name
    for name in ("A", "B"):
        assert found[name] == pytest.approx(CHINCHILLA[name], rel=0.05), name
    plain = {"A": 477.7, "B": 2142, "E": 1.817, "alpha": 0.3473, "beta": 0.3672}
    assert found == pytest.approx(plain, rel=1e-3)
    assert len(refit.points) == 240
    assert refit.warnings == ()
    json.dumps(refit.to_plain(), allow_nan=False)


@needs_published
def test_the_published_intervals_come_out(refit: ScalingFit) -> None:
    assert refit.intervals["alpha"] == pytest.approx((0.317, 0.373), abs=0.008)
    assert refit.intervals["beta"] == pytest.approx((0.331, 0.415), abs=0.008)


@needs_published
@pytest.mark.slow
def test_the_unpruned_grid_and_scipy_end_in_the_same_optimum(refit: ScalingFit) -> None:
    points = published_points()
    law = chinchilla_law(points.inputs["parameters"], points.inputs["tokens"])
    whole = fit_chinchilla(points, bootstrap=0, prune=False)
    assert whole.parameters == pytest.approx(refit.parameters, rel=1e-6)
    assert whole.objective == pytest.approx(refit.objective, rel=1e-6)
    lowest = min(
        scipys(law, points.log_loss, start, HUBER_DELTA)[1] for start in chinchilla_starts()[::50]
    )
    assert refit.objective == pytest.approx(lowest, rel=1e-6)


def _coverage(intervals: list[Floats], truth: list[float]) -> Floats:
    ends = np.array(intervals)
    return np.asarray(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean(axis=0))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("count", "seeds"), [(12, 1), (12, 3)])
def test_intervals_of_power_laws_cover(count: int, seeds: int) -> None:
    random, intervals = np.random.default_rng(11), []
    for seed in range(1000):
        points = power_runs(random, count=count, seeds=seeds)
        found = fit_power(points, bootstrap=400, seed=seed).intervals
        intervals.append(np.array([found[name] for name in POWER]).T)
    coverage = _coverage(intervals, list(POWER.values()))
    assert (coverage >= 0.93).all(), coverage
    assert (coverage <= 0.97).all(), coverage


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_intervals_of_the_law_in_two_variables_cover() -> None:
    """Each simulation starts from the truth in place of the grid, which finds the same optimum."""
    random, intervals = np.random.default_rng(12), []
    truth = np.array([*np.log([482.0, 2085.4, 1.817]), 0.3478, 0.3658])
    for _ in range(1000):
        points = chinchilla_runs(random)
        law = chinchilla_law(points.inputs["parameters"], points.inputs["tokens"])
        found = minimise(law, points.log_loss, truth[None], delta=HUBER_DELTA)
        draws = pairs_bootstrap(law, points.log_loss, found.theta[0], 200, random, HUBER_DELTA)
        intervals.append(percentile_interval(draws, 0.95))
    coverage = _coverage(intervals, list(truth))
    assert (coverage >= 0.93).all(), coverage
    assert (coverage <= 0.97).all(), coverage


def shared_noise_runs(random: np.random.Generator) -> tuple[Points, np.ndarray]:
    """Twelve sizes x 3 seeds with four budgets each, which share most of their noise."""
    run = np.repeat(np.arange(36), 4)
    size = np.repeat(np.geomspace(1e7, 1e10, 12), 12)
    tokens = size * np.tile(np.geomspace(5, 200, 4), 36)
    law = CHINCHILLA
    loss = law["E"] + law["A"] * size ** -law["alpha"] + law["B"] * tokens ** -law["beta"]
    noise = random.normal(0, 0.005, 36)[run] + random.normal(0, 0.001, len(run))
    return Points({"parameters": size, "tokens": tokens}, loss * np.exp(noise)), run


def alpha_interval(
    points: Points, random: np.random.Generator, groups: np.ndarray | None
) -> Floats:
    """The interval of alpha, with the fit started from the truth."""
    truth = np.array([*np.log([482.0, 2085.4, 1.817]), 0.3478, 0.3658])
    law = chinchilla_law(points.inputs["parameters"], points.inputs["tokens"])
    start = minimise(law, points.log_loss, truth[None], delta=HUBER_DELTA).theta[0]
    draws = pairs_bootstrap(law, points.log_loss, start, 200, random, HUBER_DELTA, groups)
    return percentile_interval(draws, 0.95)[:, 3]


def test_runs_resampled_whole_have_wider_intervals() -> None:
    points, run = shared_noise_runs(np.random.default_rng(2))
    whole, single = (
        np.ptp(alpha_interval(points, np.random.default_rng(3), groups)) for groups in (run, None)
    )
    assert whole > 1.3 * single


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_intervals_cover_where_budgets_share_their_runs_noise() -> None:
    random, covered = np.random.default_rng(13), []
    for _ in range(500):
        points, run = shared_noise_runs(random)
        low, high = alpha_interval(points, random, run)
        covered.append(low <= CHINCHILLA["alpha"] <= high)
    # 36 runs are few for a bootstrap of runs: a little narrow, as such intervals are.
    assert 0.90 <= np.mean(covered) <= 0.975, np.mean(covered)


def test_intervals_are_those_of_the_seed_and_hold_the_estimate() -> None:
    points = power_runs(np.random.default_rng(5))
    fit = fit_power(points, bootstrap=200, seed=3)
    assert fit.intervals == fit_power(points, bootstrap=200, seed=3).intervals
    assert fit.intervals != fit_power(points, bootstrap=200, seed=4).intervals
    for name, (low, high) in fit.intervals.items():
        assert low < fit.parameters[name] < high
    assert fit_power(points, bootstrap=0).intervals == {}


def test_leverage_is_the_hat_matrixs_diagonal() -> None:
    design = np.random.default_rng(6).normal(size=(9, 3))
    hat = design @ np.linalg.inv(design.T @ design) @ design.T
    np.testing.assert_allclose(leverage(design), np.diag(hat))


def test_held_out_is_the_error_of_a_fit_without_the_largest_size() -> None:
    points = power_runs(np.random.default_rng(7))
    out = largest_sizes(points.inputs["x"])
    np.testing.assert_allclose(np.unique(points.inputs["x"][out]), [10 ** (64 / 11), 1e6])
    rest = fit_power(points.where(~out), bootstrap=0).parameters
    left = points.where(out)
    predicted = rest["E"] + rest["A"] * left.inputs["x"] ** -rest["alpha"]
    error = np.sqrt(np.mean((np.log(predicted) - left.log_loss) ** 2))
    assert fit_power(points, bootstrap=0).held_out == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf, "fast"])
def test_a_bad_cell_is_named(bad: object) -> None:
    table = pd.DataFrame({"x": [1, 2, 3, 4], "loss": [3.0, 2.5, bad, 2.0]})
    with pytest.raises(InputError, match="column 'loss', row 4,"):
        power_points(table, "x", "loss")


def test_a_missing_column_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no column 'y', expected one of x, loss"):
        power_points(pd.DataFrame({"x": [1], "loss": [2]}), "x", "y")


@pytest.mark.parametrize(
    ("x", "message"),
    [([1, 2, 3], "3 points"), ([5] * 6, "one size only"), ([1, 2] * 3, "2 sizes only")],
)
def test_too_few_points_or_sizes_are_an_error(x: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_power(Points({"x": np.array(x, dtype=float)}, np.linspace(3, 2, len(x))))


def test_too_few_draws_are_an_error() -> None:
    with pytest.raises(InputError, match="20 bootstrap samples"):
        fit_power(power_runs(np.random.default_rng(0)), bootstrap=20)
    with pytest.raises(InputError, match="36 of 36 points to drop"):
        power_runs(np.random.default_rng(0)).without_highest(36)


def test_a_constant_ratio_is_called_ill_conditioned() -> None:
    points = chinchilla_runs(np.random.default_rng(8), models=12, ratios=2)
    ratio = points.where(np.arange(24) % 2 == 0)
    fit = fit_chinchilla(ratio, bootstrap=39)
    assert any("all runs have about 5 tokens per parameter" in text for text in fit.warnings)
    assert "alpha from beta" in " ".join(fit.warnings)
    json.dumps(fit.to_plain(), allow_nan=False)


def test_tokens_follow_from_flops() -> None:
    table = pd.DataFrame({"n": [1e6, 2e6], "c": [6e13, 6e13], "loss": [3.0, 2.9]})
    points = chinchilla_points(table, "n", "loss", flops="c")
    np.testing.assert_allclose(points.inputs["tokens"], [1e7, 5e6])
    with pytest.raises(InputError, match="neither tokens nor FLOP"):
        chinchilla_points(table, "n", "loss")


def test_a_floorless_law_is_warned_about() -> None:
    x = np.geomspace(1e3, 1e6, 12)
    loss = 5 * x**-0.1 * np.exp(np.random.default_rng(9).normal(0, 0.01, 12))
    assert any("E may be 0" in text for text in fit_power(Points({"x": x}, loss)).warnings)


@needs_published
def test_giving_up_starts_early_loses_nothing_on_a_part_of_the_grid() -> None:
    points = published_points()
    law = chinchilla_law(points.inputs["parameters"], points.inputs["tokens"])
    starts = chinchilla_starts()[::25]
    found = [
        search(law, points.log_loss, starts, delta=HUBER_DELTA, prune=prune).objective.min()
        for prune in (True, False)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
