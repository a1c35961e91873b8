"""Jumps in accuracy: of the sigmoid's making, of the loss's, and of neither."""

import numpy as np
import pytest
from tests.analysis.scaling.made_up import broken_runs, power_runs

from curricle.analysis.scaling.laws import Floats
from curricle.analysis.scaling.link import (
    BEYOND_LOSS,
    EXPLAINED,
    LOSS_BREAKS,
    AccuracyLink,
    explain_jump,
    fit_link,
)
from curricle.core.errors import InputError

STEEP = AccuracyLink(chance=0.25, middle=2.0, width=0.05, squares=0.0)


def _accuracy(loss: Floats, random: np.random.Generator) -> Floats:
    return np.clip(STEEP.accuracy(loss) + random.normal(0, 0.01, len(loss)), 0, 1)


def test_the_link_comes_back() -> None:
    loss = np.linspace(1.6, 2.6, 40)
    link = fit_link(loss, STEEP.accuracy(loss), 0.25)
    assert link.middle == pytest.approx(2.0)
    assert link.width == pytest.approx(0.05)


def test_a_steep_rise_over_a_smooth_loss_is_explained() -> None:
    random = np.random.default_rng(41)
    points = power_runs(random)
    found = explain_jump(points.inputs["x"], points.loss, _accuracy(points.loss, random), 0.25)
    assert found.verdict == EXPLAINED


def test_a_break_of_the_loss_is_named() -> None:
    random = np.random.default_rng(42)
    points = broken_runs(random, 1e5, noise=0.001)
    found = explain_jump(points.inputs["x"], points.loss, _accuracy(points.loss, random), 0.25)
    assert found.verdict == LOSS_BREAKS


def test_a_step_at_equal_loss_is_a_jump() -> None:
    random = np.random.default_rng(43)
    points = power_runs(random)
    x = points.inputs["x"]
    wide = AccuracyLink(chance=0.25, middle=2.0, width=0.3, squares=0.0)
    accuracy = wide.accuracy(points.loss) + random.normal(0, 0.01, len(x)) + 0.1 * (x > 1.1e5)
    found = explain_jump(x, points.loss, accuracy, 0.25)
    assert found.verdict == BEYOND_LOSS
    assert 1.1e5 < found.step < 1.3e5


def test_accuracy_at_chance_tells_nothing() -> None:
    random = np.random.default_rng(44)
    points = power_runs(random)
    accuracy = random.binomial(400, 0.25, len(points)) / 400
    found = explain_jump(points.inputs["x"], points.loss, accuracy, 0.25)
    assert found.verdict == "cannot tell"


def test_percentages_and_too_few_points_are_errors() -> None:
    loss = np.linspace(1.6, 2.6, 5)
    with pytest.raises(InputError, match="divide percentages"):
        fit_link(loss, 100 * STEEP.accuracy(loss), 0.25)
    with pytest.raises(InputError, match="3 accuracies"):
        fit_link(loss[:3], STEEP.accuracy(loss[:3]), 0.25)
