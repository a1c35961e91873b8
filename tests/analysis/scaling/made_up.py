"""Runs that never ran: laws with known parameters, with noise."""

from pathlib import Path

import numpy as np
import pandas as pd

from curricle.analysis.scaling.broken import BrokenPowerLaw, break_change
from curricle.analysis.scaling.laws import Floats
from curricle.analysis.scaling.points import Points

PUBLISHED_RUNS = Path(__file__).parents[4] / "shared/data/chinchilla/svg_extracted_data.csv"
POWER = {"A": 20.0, "E": 1.5, "alpha": 0.3}
CHINCHILLA = {"A": 482.0, "B": 2085.4, "E": 1.817, "alpha": 0.3478, "beta": 0.3658}


def sizes(count: int, seeds: int) -> Floats:
    """Two decades of sizes, each as often as there are seeds."""
    return np.repeat(np.geomspace(1e4, 1e6, count), seeds)


def with_noise(loss: Floats, noise: float, random: np.random.Generator) -> Floats:
    return np.asarray(loss * np.exp(random.normal(0, noise, len(loss))))


def power_runs(
    random: np.random.Generator, *, count: int = 12, seeds: int = 3, noise: float = 0.003
) -> Points:
    x = sizes(count, seeds)
    loss = POWER["E"] + POWER["A"] * x ** -POWER["alpha"]
    return Points({"x": x}, with_noise(loss, noise, random))


def broken_runs(
    random: np.random.Generator, place: float, *, count: int = 12, noise: float = 0.003
) -> Points:
    """Three seeds; the exponent rises from 0.3 to 0.7 at `place`."""
    x = sizes(count, 3)
    bend = (1 + (x / place) ** (1 / 0.05)) ** (-0.4 * 0.05)
    loss = POWER["E"] + POWER["A"] * x ** -POWER["alpha"] * bend
    return Points({"x": x}, with_noise(loss, noise, random))


def chinchilla_runs(
    random: np.random.Generator, *, models: int = 20, ratios: int = 12, noise: float = 0.005
) -> Points:
    """A full grid of model sizes and tokens per parameter."""
    size = np.repeat(np.geomspace(1e7, 1e10, models), ratios)
    tokens = size * np.tile(np.geomspace(5, 200, ratios), models)
    law = CHINCHILLA
    loss = law["E"] + law["A"] * size ** -law["alpha"] + law["B"] * tokens ** -law["beta"]
    return Points({"parameters": size, "tokens": tokens}, with_noise(loss, noise, random))


def curricula_runs(
    random: np.random.Generator, floors: dict[str, float], exponents: dict[str, float]
) -> pd.DataFrame:
    parts = []
    for name, floor in floors.items():
        x = sizes(12, 3)
        loss = with_noise(floor + 20 * x ** -exponents[name], 0.003, random)
        parts.append(pd.DataFrame({"curriculum": name, "parameters": x, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def two_breaks() -> tuple[BrokenPowerLaw, Floats]:
    """A law with two breaks at 36 points, and four parameter vectors of it."""
    law = BrokenPowerLaw(sizes(12, 3), 2, 2e4, 5e5)
    random = np.random.default_rng(0)
    theta = random.normal(0, 0.7, (4, 9))
    theta[:, [4, 7]] = break_change(0.4), break_change(-0.2)
    return law, theta
