"""The random-feature case: its closed forms against gradient descent step by step."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.benchmarks.scripts import loaded

if TYPE_CHECKING:
    from benchmarks.random_features import Quadratic

    Studied = tuple[list[Quadratic], Quadratic]


script = loaded("random_features.py")
KIND = script.KINDS["labels replaced, inputs differ"]


@pytest.fixture(scope="module")
def studied() -> "Studied":
    found: Studied = script.losses(script.make_world(3, KIND), 12, 5)
    return found


def test_the_quadratic_is_the_mean_squared_error() -> None:
    world = script.make_world(3, KIND)
    recipes, _ = script.losses(world, 12, 5)
    theta = np.random.default_rng(0).normal(size=12)
    errors = script.features(world.inputs, 12, 5) @ theta - world.labels
    expected = world.weights[4] @ (errors**2).mean(axis=1) / 2
    assert recipes[4].loss(theta[None])[0] == pytest.approx(expected)


def test_closed_form_is_gradient_descent(studied: "Studied") -> None:
    recipes, _ = studied
    rates = np.array([1e-3, 0.1])
    for rate, found in zip(rates, script.descend(recipes[0], rates, 40), strict=True):
        theta = np.zeros(12)
        for _ in range(40):
            theta -= rate * recipes[0].gradient(theta)
        np.testing.assert_allclose(found, theta, rtol=1e-8, atol=1e-12)


def test_many_steps_end_at_the_optimum(studied: "Studied") -> None:
    recipe = studied[0][1]
    rate = 1 / np.linalg.eigvalsh(recipe.hessian)[-1]
    (found,) = script.descend(recipe, np.array([rate]), 10**7)
    np.testing.assert_allclose(found, np.linalg.solve(recipe.hessian, recipe.linear), rtol=1e-6)


def test_the_first_order_error_falls_with_the_rate(
    studied: "Studied",
) -> None:
    recipes, validation = studied
    rates, steps = np.array([1e-5, 5e-6]), 50
    fall = validation.constant - validation.loss(script.descend(recipes[2], rates, steps))
    first = rates * steps * script.alignment(recipes[2], validation)
    error = np.abs(fall - first)
    assert error[0] < 0.01 * first[0]
    assert error[1] / error[0] == pytest.approx(0.25, rel=0.01), "second order: a quarter"


def test_a_tiny_rate_ranks_by_alignment_exactly(
    studied: "Studied",
) -> None:
    recipes, validation = studied
    found = [validation.loss(script.descend(item, np.array([1e-7]), 50))[0] for item in recipes]
    aligned = [script.alignment(item, validation) for item in recipes]
    assert script.spearman(np.array(found), -np.array(aligned)) == 1.0
