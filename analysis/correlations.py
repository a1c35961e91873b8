"""Intervals of rank correlations and of the difference between two of them.

The recipes at hand are taken for a sample of the recipes one might have tried, so an interval says
what other recipes of the kind could have shown; the runs' noise is part of it, since every recipe
brings its own. A perfect correlation counts as half a swap of two neighbours away from 1, so that
it has an interval too.
"""

import math
from dataclasses import dataclass

from scipy.stats import norm

from curricle.core.bootstrap import Interval

MINIMUM_FOR_INTERVAL = 10


@dataclass(frozen=True)
class RankCorrelation:
    """A kind of rank correlation by the standard error of Fisher's z and the step of one swap."""

    slope: float
    base: float
    lost: int

    def error(self, value: float, count: int) -> float:
        """Standard error of atanh(value) for `count` recipes."""
        return math.sqrt((self.base + self.slope * value**2) / (count - self.lost))


SPEARMAN = RankCorrelation(slope=0.5, base=1.0, lost=3)
"""Bonett & Wright (2000): sqrt((1 + rho^2 / 2) / (n - 3))."""
KENDALL = RankCorrelation(slope=0.0, base=0.437, lost=4)
"""Fieller, Hartley & Pearson (1957): sqrt(0.437 / (n - 4))."""


def correlation_interval(
    value: float, count: int, *, kind: RankCorrelation = SPEARMAN, confidence: float = 0.95
) -> Interval:
    """A rank correlation over `count` recipes with its interval; none below 10, or for NaN."""
    if count < MINIMUM_FOR_INTERVAL or math.isnan(value):
        return Interval(value, None, None)
    inner = within(value, count)
    half = float(norm.ppf((1 + confidence) / 2)) * kind.error(inner, count)
    centre = math.atanh(inner)
    low = -1.0 if value <= -1 else math.tanh(centre - half)
    high = 1.0 if value >= 1 else math.tanh(centre + half)
    return Interval(value, low, high)


def correlation_difference(
    first: float, second: float, between: float, count: int, *, confidence: float = 0.95
) -> Interval:
    """`first` - `second`, two Spearman correlations with the same target, with its interval.

    `between` is the correlation of the two proxies with each other: what they have in common
    cancels. Zou (2007), from the intervals of each, with the correlation of correlations of Olkin
    and Siotani (1976).
    """
    ends = [correlation_interval(value, count, confidence=confidence) for value in (first, second)]
    (low1, high1), (low2, high2) = ((end.low, end.high) for end in ends)
    if low1 is None or high1 is None or low2 is None or high2 is None or math.isnan(between):
        return Interval(first - second, None, None)
    shared = _shared(within(first, count), within(second, count), within(between, count))
    down = _distance(first - low1, high2 - second, shared)
    up = _distance(high1 - first, second - low2, shared)
    return Interval(first - second, first - second - down, first - second + up)


def within(value: float, count: int) -> float:
    """`value` kept half a swap of two neighbours away from -1 and 1."""
    edge = 1 - 6 / (count**3 - count)
    return min(max(value, -edge), edge)


def _shared(r1: float, r2: float, r12: float) -> float:
    """Correlation between the estimates r1 and r2, which share a variable."""
    top = (r12 - r1 * r2 / 2) * (1 - r1**2 - r2**2 - r12**2) + r12**3
    return min(max(top / ((1 - r1**2) * (1 - r2**2)), -1.0), 1.0)


def _distance(one: float, other: float, shared: float) -> float:
    return math.sqrt(max(one**2 + other**2 - 2 * shared * one * other, 0.0))
