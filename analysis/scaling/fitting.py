"""Fits of the smooth laws: the power law, and the law in parameters and tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curricle.analysis.formatting import percent
from curricle.analysis.scaling.bootstrap import (
    pairs_bootstrap,
    percentile_interval,
    residual_bootstrap,
)
from curricle.analysis.scaling.conditioning import design_warnings, estimate_warnings
from curricle.analysis.scaling.laws import (
    Floats,
    Law,
    chinchilla_law,
    chinchilla_starts,
    power_law,
    power_starts,
)
from curricle.analysis.scaling.points import Points, check_enough
from curricle.analysis.scaling.solver import LEAST_SQUARES, huber, minimise, search
from curricle.core.errors import InputError
from curricle.core.seeds import generator

HUBER_DELTA = 1e-3
"""Of the published fit in N and D: far below the residuals, so nearly least absolute deviations."""

CONFIDENCE = 0.95
FEWEST_DRAWS = 39
"""With fewer draws the 2.5 % quantile lies beyond the outermost one."""

_HELD_OUT_SHARE = 0.1

Bind = Callable[[Mapping[str, Floats]], Law]


@dataclass(frozen=True, kw_only=True)
class ScalingFit:
    """A fitted law.

    - `theta` (P), `draws`: the optimum and its bootstrap draws as the law's parameter vectors;
    - `parameters`, `intervals`: the same as the law's natural parameters, at `confidence`;
    - `objective`: the summed Huber (or half squared) residual of the log loss;
    - `residual`: root mean square of the residuals of the log loss, so about a relative error;
    - `held_out`: the same for the largest sizes as predicted without them, None where too few
      points would be left.
    """

    model: str
    points: Points
    theta: Floats
    draws: Floats
    parameters: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    confidence: float
    objective: float
    residual: float
    held_out: float | None
    warnings: tuple[str, ...]

    @property
    def meaning(self) -> str:
        """The law's message in a line."""
        floor = f"the loss falls towards {self.parameters['E']:.4g}"
        if self.model == "power":
            if self.parameters["alpha"] <= 0:
                return "the loss doesn't fall as x grows"
            share = 1 - 10 ** -self.parameters["alpha"]
            return f"{floor}; ten times x takes {percent(share)} off what lies above it"
        if not len(self.draws):
            return floor
        gap = self.draws[:, 3:4] - self.draws[:, 4:5]
        low, high = percentile_interval(gap, self.confidence)[:, 0]
        if low <= 0 <= high:
            return f"{floor}; alpha and beta may be equal"
        first, second = ("parameters", "tokens") if low > 0 else ("tokens", "parameters")
        return f"{floor}; more {first} lower it at a surely steeper exponent than more {second}"

    def to_plain(self) -> dict[str, Any]:
        """What JSON can hold, without points and draws."""
        return {
            "model": self.model,
            "parameters": dict(self.parameters),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "confidence": self.confidence,
            "objective": self.objective,
            "points": len(self.points),
            "residual": self.residual,
            "held_out": self.held_out,
            "warnings": list(self.warnings),
            "meaning": self.meaning,
        }


def fit_power(
    points: Points, *, bootstrap: int = 1000, seed: int = 0, confidence: float = CONFIDENCE
) -> ScalingFit:
    """Fit L = E + A x^-alpha by least squares on the log loss; residual bootstrap.

    `points` has the input `x`. Raises InputError for too few points, sizes or draws.
    """
    check_draws(bootstrap)
    x = points.inputs["x"]
    check_enough(points, 3, x, 3)
    law = power_law(x)
    found = search(law, points.log_loss, power_starts(x, points.loss))
    theta = found.theta[found.best]
    random = generator(seed, "scaling", "power")
    draws = residual_bootstrap(law, points.log_loss, theta[None], bootstrap, random)
    return _summarise(
        "power", points, _bind_power, theta, draws, confidence=confidence, delta=LEAST_SQUARES
    )


def fit_chinchilla(
    points: Points,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    prune: bool = True,
    groups: npt.NDArray[np.int64] | None = None,
) -> ScalingFit:
    """Fit L = E + A N^-alpha + B D^-beta by the summed Huber loss; pairs bootstrap.

    `points` has the inputs `parameters` and `tokens`. All 4,500 published starts are tried; `prune`
    gives up the worst after a few steps. Points of one of the `groups` (N, from 0 on) are resampled
    together: budgets of one training run share its noise. Raises InputError for too few points,
    sizes or draws.
    """
    check_draws(bootstrap)
    check_enough(points, 5, points.inputs["parameters"], 2)
    law = _bind_chinchilla(points.inputs)
    found = search(law, points.log_loss, chinchilla_starts(), delta=HUBER_DELTA, prune=prune)
    theta = found.theta[found.best]
    random = generator(seed, "scaling", "chinchilla")
    draws = pairs_bootstrap(law, points.log_loss, theta, bootstrap, random, HUBER_DELTA, groups)
    return _summarise(
        "chinchilla",
        points,
        _bind_chinchilla,
        theta,
        draws,
        confidence=confidence,
        delta=HUBER_DELTA,
    )


def _summarise(
    model: str,
    points: Points,
    bind: Bind,
    theta: Floats,
    draws_BP: Floats,
    *,
    confidence: float,
    delta: float,
) -> ScalingFit:
    """Put a fit's numbers together; `bind` gives the law at any inputs."""
    law = bind(points.inputs)
    residual = law.log_loss(theta[None])[0][0] - points.log_loss
    parameters = dict(zip(law.names, map(float, law.natural(theta[None])[0]), strict=True))
    intervals = named_intervals(law.names, law.natural(draws_BP), confidence)
    smallest = float(points.loss.min())
    return ScalingFit(
        model=model,
        points=points,
        theta=theta,
        draws=draws_BP,
        parameters=parameters,
        intervals=intervals,
        confidence=confidence,
        objective=float(huber(residual, delta).sum()),
        residual=root_mean_square(residual),
        held_out=_held_out(points, bind, theta[None], delta),
        warnings=(
            *design_warnings(points.inputs),
            *estimate_warnings(parameters, intervals, smallest),
        ),
    )


def named_intervals(
    names: tuple[str, ...], natural_BP: Floats, confidence: float
) -> dict[str, tuple[float, float]]:
    """Percentile intervals by name; none without draws."""
    if not len(natural_BP):
        return {}
    low, high = percentile_interval(natural_BP, confidence)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def largest_sizes(size: Floats, share: float = _HELD_OUT_SHARE) -> np.ndarray:
    """Mask (N) of the largest size, and of the next ones until they hold `share` of the points."""
    ranked = np.sort(size)[::-1]
    return np.asarray(size >= ranked[max(0, int(np.ceil(share * len(size))) - 1)])


def root_mean_square(values: Floats) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(values**2)))


def check_draws(bootstrap: int) -> None:
    """Raise InputError for so few resamples that they bound no 95 % interval; 0 means none."""
    if bootstrap < 0 or 0 < bootstrap < FEWEST_DRAWS:
        raise InputError(
            f"{bootstrap} bootstrap samples",
            expected=f"0 (no intervals) or at least {FEWEST_DRAWS}",
            fix="raise the number",
        )


def _held_out(points: Points, bind: Bind, theta_1P: Floats, delta: float) -> float | None:
    size = points.inputs.get("x", points.inputs.get("parameters"))
    assert size is not None
    out = largest_sizes(size)
    rest = points.where(~out)
    if len(rest) <= theta_1P.shape[1]:
        return None
    fitted = minimise(bind(rest.inputs), rest.log_loss, theta_1P, delta=delta)
    left = points.where(out)
    value_1N, _ = bind(left.inputs).log_loss(fitted.theta)
    return root_mean_square(value_1N[0] - left.log_loss)


def _bind_power(inputs: Mapping[str, Floats]) -> Law:
    return power_law(inputs["x"])


def _bind_chinchilla(inputs: Mapping[str, Floats]) -> Law:
    return chinchilla_law(inputs["parameters"], inputs["tokens"])
