"""A fitted law as a curve with its band, ready to be drawn or tabulated."""

from dataclasses import dataclass, replace

import numpy as np

from curricle.analysis.scaling.bootstrap import percentile_interval
from curricle.analysis.scaling.breaks import BreakFinding
from curricle.analysis.scaling.fitting import ScalingFit
from curricle.analysis.scaling.laws import Floats, Law, power_law


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Loss along `x` with the law's pointwise confidence band, and the points it was fitted to.

    The band is that of the law, not of single runs. Without draws it is the law itself.
    """

    x: Floats
    loss: Floats
    low: Floats
    high: Floats
    points_x: Floats
    points_loss: Floats


def curve_of(result: ScalingFit | BreakFinding, x: Floats) -> Curve:
    """The law in one variable at `x`, within the range of the points or beyond it."""
    law: Law
    if isinstance(result, BreakFinding):
        law, theta = replace(result.fit.law, x=x), result.fit.optima[:1]
    else:
        law, theta = power_law(x), result.theta[None]
    draws = result.draws if len(result.draws) else theta
    low, high = np.exp(percentile_interval(law.log_loss(draws)[0], result.confidence))
    return Curve(
        x=x,
        loss=np.exp(law.log_loss(theta)[0][0]),
        low=low,
        high=high,
        points_x=result.points.inputs["x"],
        points_loss=result.points.loss,
    )
