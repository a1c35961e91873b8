"""Whether a law breaks, where, and how sure that is.

A break must pass two judges. *In the sample*, BIC corrected for few points (`evidence`). *Out of
the sample*, every size in turn is predicted without its own points. "No break" needs more than a
lost contest: the points must be good enough to have shown a break that doubles the exponent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curricle.analysis.scaling.bootstrap import residual_bootstrap
from curricle.analysis.scaling.broken import BrokenPowerLaw, break_change
from curricle.analysis.scaling.conditioning import estimate_warnings
from curricle.analysis.scaling.evidence import CONVINCING, evidence
from curricle.analysis.scaling.fitting import (
    CONFIDENCE,
    check_draws,
    named_intervals,
    root_mean_square,
)
from curricle.analysis.scaling.laws import Floats
from curricle.analysis.scaling.points import Points, check_enough
from curricle.analysis.scaling.solver import minimise, search
from curricle.core.seeds import generator

MOST_BREAKS = 2
NO_BREAK, CANNOT_TELL = "no break", "cannot tell"

_FEWEST_SIZES = 8
_CANDIDATES = 6
_PER_BREAK = 3
_WIDEST = 0.5
"""Share of the sizes' log range that the interval of a break may span and still place it."""


@dataclass(frozen=True, kw_only=True)
class BrokenFit:
    """The law with so many breaks.

    - `optima`: its K best local optima, the best first; `squares`: residual sum of squares;
    - `held_out`: root mean square error of the log loss over sizes predicted without their points;
    - `criterion`: corrected BIC, plus the margin that each break owes, minus that of the law
      without a break; lower is better.
    """

    law: BrokenPowerLaw
    optima: Floats
    squares: float
    held_out: float
    criterion: float

    @property
    def breaks(self) -> int:
        """The number of breaks."""
        return self.law.breaks

    @property
    def parameters(self) -> dict[str, float]:
        """The natural parameters by name."""
        natural = self.law.natural(self.optima[:1])[0]
        return dict(zip(self.law.names, map(float, natural), strict=True))


@dataclass(frozen=True, kw_only=True)
class BreakFinding:
    """The verdict on a law's breaks, with the fits it rests on.

    - `verdict`: `no break`, `break at ...` or `cannot tell`, with the `reason` for it;
    - `fits`: one per number of breaks that the points allow, from 0;
    - `chosen`: the number of breaks that the criterion prefers; `parameters`, `intervals` and
      `draws` (parameter vectors) are that fit's.
    """

    verdict: str
    reason: str
    points: Points
    fits: tuple[BrokenFit, ...]
    chosen: int
    parameters: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    draws: Floats
    confidence: float

    @property
    def fit(self) -> BrokenFit:
        """The chosen fit."""
        return self.fits[self.chosen]

    def to_plain(self) -> dict[str, Any]:
        """What JSON can hold, without points and draws."""
        smallest = float(self.points.loss.min())
        return {
            "model": "broken",
            "parameters": dict(self.parameters),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "confidence": self.confidence,
            "objective": self.fit.squares / 2,
            "points": len(self.points),
            "residual": float(np.sqrt(self.fit.squares / len(self.points))),
            "held_out": self.fit.held_out,
            "warnings": list(estimate_warnings(self.parameters, self.intervals, smallest)),
            "verdict": self.verdict,
            "reason": self.reason,
            "breaks": [
                {"breaks": fit.breaks, "criterion": fit.criterion, "held_out": fit.held_out}
                for fit in self.fits
            ],
            "meaning": f"{self.verdict}: {self.reason}",
        }

    def places(self) -> Floats:
        """Bootstrap draws of the chosen fit's breaks, in ascending order within a draw."""
        return self.fit.law.natural(self.draws)[:, 3::3]


def find_breaks(
    points: Points,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    most_breaks: int = MOST_BREAKS,
) -> BreakFinding:
    """Fit the smoothly broken power law with 0, 1, ... breaks and judge them.

    `points` has the input `x`. Raises InputError for too few points, sizes or draws.
    """
    check_draws(bootstrap)
    check_enough(points, 3, points.inputs["x"], 3)
    fits = [_fit(points, 0, None)]
    while len(fits) <= most_breaks and _affordable(points, len(fits)):
        fits.append(_fit(points, len(fits), fits[-1]))
    chosen = int(np.argmin([fit.criterion for fit in fits]))
    best = fits[chosen]
    draws = residual_bootstrap(
        best.law, points.log_loss, best.optima, bootstrap, generator(seed, "scaling", "broken")
    )
    intervals = named_intervals(best.law.names, best.law.natural(draws), confidence)
    verdict, reason = _judge(points, fits, best, intervals)
    return BreakFinding(
        verdict=verdict,
        reason=reason,
        points=points,
        fits=tuple(fits),
        chosen=chosen,
        parameters=best.parameters,
        intervals=intervals,
        draws=draws,
        confidence=confidence,
    )


def _fit(points: Points, breaks: int, simpler: BrokenFit | None) -> BrokenFit:
    sizes = np.unique(points.inputs["x"])
    law = BrokenPowerLaw(points.inputs["x"], breaks, float(sizes[1]), float(sizes[-2]))
    found = search(law, points.log_loss, law.starts(points.loss))
    order = _distinct(law, found.theta, found.objective)
    optima = found.theta[order]
    squares = 2 * float(found.objective[order[0]])
    criterion = 0.0
    if simpler is not None:
        width = optima.shape[1]
        gain = evidence(len(points), width, _PER_BREAK, simpler.squares, squares)
        criterion = simpler.criterion - gain + CONVINCING
    return BrokenFit(
        law=law,
        optima=optima,
        squares=squares,
        held_out=_held_out(points, law, optima),
        criterion=criterion,
    )


def _distinct(law: BrokenPowerLaw, theta_SP: Floats, objective_S: Floats) -> np.ndarray:
    """Indices of the best solutions whose breaks lie apart, the best first."""
    places_SK = np.log(law.natural(theta_SP)[:, 3::3])
    apart = 0.05 * np.log(law.highest / law.lowest)
    chosen: list[int] = []
    for index in np.argsort(objective_S, kind="stable"):
        gaps = [np.abs(places_SK[index] - places_SK[other]).max(initial=0.0) for other in chosen]
        if all(gap > apart for gap in gaps):
            chosen.append(int(index))
        if len(chosen) == _CANDIDATES:
            break
    return np.array(chosen)


def _held_out(points: Points, law: BrokenPowerLaw, optima_KP: Floats) -> float:
    """Root mean square error of predictions for each size from all the others."""
    sizes, member = np.unique(law.x, return_inverse=True)
    ways = len(optima_KP)
    weights_GN = (member != np.arange(len(sizes))[:, None]).astype(float)
    found = minimise(
        law,
        points.log_loss,
        np.tile(optima_KP, (len(sizes), 1)),
        weights=np.repeat(weights_GN, ways, axis=0),
        tolerance=1e-9,
    )
    best = found.objective.reshape(len(sizes), ways).argmin(axis=1)
    theta_GP = found.theta.reshape(len(sizes), ways, -1)[np.arange(len(sizes)), best]
    value_GN, _ = law.log_loss(theta_GP)
    return root_mean_square((value_GN - points.log_loss)[weights_GN == 0])


def _affordable(points: Points, breaks: int) -> bool:
    return len(np.unique(points.inputs["x"])) > 3 + _PER_BREAK * breaks


def _judge(
    points: Points,
    fits: list[BrokenFit],
    best: BrokenFit,
    intervals: Mapping[str, tuple[float, float]],
) -> tuple[str, str]:
    sizes = np.unique(points.inputs["x"])
    if len(sizes) < _FEWEST_SIZES:
        return CANNOT_TELL, f"{len(sizes)} sizes can't tell a break from the irreducible term"
    if best.breaks == 0:
        if _would_show(points, fits[0]):
            return NO_BREAK, "the criterion prefers the law without a break"
        return CANNOT_TELL, "a break that doubles the exponent wouldn't show in this noise"
    if best.held_out >= fits[0].held_out:
        return CANNOT_TELL, "the break fits the points, but sizes left out aren't better predicted"
    places = [intervals.get(f"break_{i + 1}") for i in range(best.breaks)]
    room = _WIDEST * np.log(sizes[-1] / sizes[0])
    if any(ends is not None and np.log(ends[1] / ends[0]) > room for ends in places):
        return CANNOT_TELL, "the criterion prefers a break, but it can't be placed"
    if len(places) > 1 and places[0] and places[1] and places[0][1] >= places[1][0]:
        return CANNOT_TELL, "the criterion prefers two breaks, but they can't be told apart"
    names = [_place(best.parameters[f"break_{i + 1}"], ends) for i, ends in enumerate(places)]
    return f"break at {' and '.join(names)}", "preferred by the criterion and by sizes left out"


def _would_show(points: Points, straight: BrokenFit) -> bool:
    """Whether the criterion would notice a doubled exponent from the middle of the range on."""
    law = replace(straight.law, breaks=1)
    theta = straight.optima[0]
    planted = np.array([[*theta, 0.0, break_change(theta[2]), -1.0]])
    curve_1N, _ = law.log_loss(planted)
    missed = minimise(straight.law, curve_1N[0], straight.optima[:1])
    expected = straight.squares + 2 * float(missed.objective[0])
    width = planted.shape[1]
    return evidence(len(points), width, _PER_BREAK, expected, straight.squares) > CONVINCING


def _place(value: float, ends: tuple[float, float] | None) -> str:
    return f"{value:.3g}" if ends is None else f"{value:.3g} ({ends[0]:.3g} to {ends[1]:.3g})"
