"""Laws against their formulae, gradients against differences."""

import numpy as np
import pytest
from tests.analysis.scaling.made_up import CHINCHILLA, POWER, chinchilla_runs, sizes, two_breaks

from curricle.analysis.scaling.laws import (
    Floats,
    Law,
    chinchilla_law,
    chinchilla_starts,
    grouped_power_law,
    power_law,
)

SMOOTH = chinchilla_runs(np.random.default_rng(0), noise=0)


def _vector(values: dict[str, float]) -> Floats:
    kept = {name: value if len(name) > 1 else np.log(value) for name, value in values.items()}
    return np.array([list(kept.values())])


def test_laws_are_their_formulae() -> None:
    size, tokens = SMOOTH.inputs["parameters"], SMOOTH.inputs["tokens"]
    law = chinchilla_law(size, tokens)
    np.testing.assert_allclose(law.log_loss(_vector(CHINCHILLA))[0][0], SMOOTH.log_loss)
    np.testing.assert_allclose(law.natural(_vector(CHINCHILLA))[0], list(CHINCHILLA.values()))
    x = sizes(12, 1)
    power = power_law(x).log_loss(_vector(POWER))[0][0]
    np.testing.assert_allclose(np.exp(power), 1.5 + 20 * x**-0.3)


def test_the_broken_law_is_its_formula_with_breaks_in_order() -> None:
    law, theta = two_breaks()
    value, _ = law.log_loss(theta)
    for row, natural in zip(value, law.natural(theta), strict=True):
        floor, factor, alpha, *breaks = natural
        power = factor * law.x**-alpha
        for d, c, f in (breaks[:3], breaks[3:]):
            power = power * (1 + (law.x / d) ** (1 / f)) ** (-c * f)
        np.testing.assert_allclose(np.exp(row), floor + power)
        assert law.lowest < breaks[0] <= breaks[3] < law.highest


def _grouped(shared: bool) -> tuple[Law, Floats]:
    x = sizes(12, 3)
    law = grouped_power_law(x, np.arange(len(x)) % 2, ("a", "b"), shared=shared)
    return law, np.random.default_rng(1).normal(0, 0.5, (3, len(law.names)))


@pytest.mark.parametrize(
    ("law", "theta"),
    [
        (chinchilla_law(SMOOTH.inputs["parameters"], SMOOTH.inputs["tokens"]), _vector(CHINCHILLA)),
        (power_law(sizes(12, 1)), _vector(POWER)),
        two_breaks(),
        _grouped(True),
        _grouped(False),
    ],
    ids=["chinchilla", "power", "broken", "shared", "separate"],
)
def test_gradients_are_exact(law: Law, theta: Floats) -> None:
    _, gradient = law.log_loss(theta)
    for index, step in enumerate(np.eye(theta.shape[1]) * 1e-6):
        above, below = law.log_loss(theta + step)[0], law.log_loss(theta - step)[0]
        np.testing.assert_allclose(gradient[..., index], (above - below) / 2e-6, atol=1e-7)


def test_there_are_as_many_starts_as_published() -> None:
    starts = chinchilla_starts()
    assert starts.shape == (4500, 5)
    assert len(np.unique(starts, axis=0)) == 4500
