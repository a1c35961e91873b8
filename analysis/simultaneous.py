"""Critical values and adjusted p-values for families of comparisons.

A family is described by the distribution of its largest standardised difference when nothing
differs and the noise is known (`Family.limit`); what an estimated noise with few degrees of freedom
adds is integrated over numerically. All pairs of k means (Tukey's studentized range), one mean
against all others from one side (Dunnett's one-sided test) and any set of correlated contrasts are
cases of the same thing.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.optimize import brentq
from scipy.special import gammaln, ndtr
from scipy.stats import chi2

from curricle.core.seeds import generator

Floats = npt.NDArray[np.float64]

SMALLEST_P = 1e-7
"""Adjusted p-values below this are reported as this: the quadrature is no finer."""

_DRAWS = 200_000
_NODES = 120
_CERTAIN = 14.0
"""No difference is this many standard errors large by chance, not even among 1,000 means."""


@dataclass(frozen=True)
class Family:
    """A family of comparisons with |difference| / standard error as its statistic.

    `limit(t)` is the probability, for every t in an array, that no member exceeds t when nothing
    differs and the standard errors are exact. `key` identifies it for caching.
    """

    key: tuple[object, ...]
    limit: Callable[[Floats], Floats]

    def critical(self, degrees_of_freedom: float, confidence: float) -> float:
        """The t that the largest statistic stays below with probability `confidence`."""
        return _critical(_Keyed(self), round(degrees_of_freedom, 6), confidence)

    def criticals(self, degrees_of_freedom: Floats, confidence: float) -> Floats:
        """`critical` for many degrees of freedom (1 and more) at once, within 0.01 %."""
        logarithm = _critical_curve(_Keyed(self), confidence)
        return np.asarray(np.exp(logarithm(1.0 / degrees_of_freedom)))

    def p_values(self, statistics: Floats, degrees_of_freedom: float) -> Floats:
        """Probability that the largest statistic of the family exceeds each of `statistics`.

        At least `SMALLEST_P`. More than 120 are interpolated (monotone, in the logarithm) between
        exact values, so that half a million pairs cost as much as ten.
        """
        flat = np.minimum(np.abs(np.ravel(statistics)), 1e9)
        if flat.size <= _NODES:
            return self._tail(flat, degrees_of_freedom).reshape(np.shape(statistics))
        nodes = np.unique(np.quantile(flat, np.linspace(0.0, 1.0, _NODES)))
        nodes = np.union1d(nodes, np.linspace(nodes[0], min(nodes[-1], 10.0), _NODES))
        curve = PchipInterpolator(nodes, np.log(self._tail(nodes, degrees_of_freedom)))
        return np.asarray(np.exp(curve(flat)).reshape(np.shape(statistics)))

    def _tail(self, statistics: Floats, degrees_of_freedom: float) -> Floats:
        below = _studentized(self.limit, statistics, degrees_of_freedom)
        return np.clip(1.0 - below, SMALLEST_P, 1.0)


@functools.lru_cache(maxsize=256)
def all_pairs(groups: int) -> Family:
    """All pairs of `groups` equally precise means: Tukey's family.

    With the studentized range q, t = q / sqrt(2) and
    P(range <= w) = k * integral of phi(z) (Phi(z) - Phi(z - w))^(k-1) dz,
    tabulated here and interpolated by a cubic spline (error below 1e-10).
    """
    nodes, weights = _legendre(-8.5, 8.5, 120)
    density = groups * weights * np.exp(-0.5 * nodes**2) / np.sqrt(2 * np.pi)
    grid = np.linspace(0.0, _CERTAIN, 2801)
    shifted = ndtr(nodes - np.sqrt(2.0) * grid[:, None])
    table = np.clip(ndtr(nodes) - shifted, 0.0, 1.0) ** (groups - 1) @ density
    return Family(("all pairs", groups), _tabulated(grid, table))


@functools.lru_cache(maxsize=256)
def one_against_others(groups: int) -> Family:
    """One of `groups` equally precise means minus each of the others, from above only.

    Dunnett's one-sided family: P(largest <= t) = integral of phi(z) Phi(z + sqrt(2) t)^(k-1) dz.
    """
    nodes, weights = _legendre(-8.5, 8.5, 120)
    density = weights * np.exp(-0.5 * nodes**2) / np.sqrt(2 * np.pi)
    grid = np.linspace(0.0, _CERTAIN, 2801)
    table = ndtr(nodes + np.sqrt(2.0) * grid[:, None]) ** (groups - 1) @ density
    return Family(("one against others", groups), _tabulated(grid, table))


def _tabulated(grid: Floats, table: Floats) -> Callable[[Floats], Floats]:
    spline = CubicSpline(grid, table)

    def limit(t: Floats) -> Floats:
        return np.asarray(np.clip(spline(np.minimum(t, _CERTAIN)), 0.0, 1.0))

    return limit


def contrasts(correlation: Floats) -> Family:
    """Contrasts whose estimates have this correlation matrix (Hothorn et al. 2008, single step).

    One contrast is exact (Student's t); more are simulated with 200,000 seeded draws, which puts
    the critical value within about 0.01 of the exact one.
    """
    rounded = np.round(correlation, 9)
    return _contrasts(rounded.tobytes(), len(rounded))


@functools.lru_cache(maxsize=256)
def _contrasts(matrix: bytes, count: int) -> Family:
    if count == 1:
        return Family(("contrasts", matrix), lambda t: np.asarray(2.0 * ndtr(t) - 1.0))
    correlation = np.frombuffer(matrix).reshape(count, count)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    draws = generator(0, "contrasts").standard_normal((_DRAWS, count))
    largest = np.sort(np.abs(draws @ root.T).max(axis=1))

    def limit(t: Floats) -> Floats:
        return np.searchsorted(largest, t, side="right") / _DRAWS

    return Family(("contrasts", matrix), limit)


class _Keyed:
    """A family as a cache key: equal when its `key` is."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def __hash__(self) -> int:
        return hash(self.family.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.family.key == other.family.key


@functools.lru_cache(maxsize=256)
def _critical_curve(keyed: _Keyed, confidence: float) -> PchipInterpolator:
    """The critical value's logarithm as a function of 1 / degrees of freedom, on [0, 1]."""
    inverse = np.linspace(0.0, 1.0, 33) ** 2
    degrees = [1 / x if x else np.inf for x in inverse]
    return PchipInterpolator(inverse, np.log([_critical(keyed, df, confidence) for df in degrees]))


@functools.lru_cache(maxsize=4096)
def _critical(keyed: _Keyed, degrees_of_freedom: float, confidence: float) -> float:
    limit = keyed.family.limit

    def excess(log_t: float) -> float:
        t = np.array([np.exp(log_t)])
        return float(_studentized(limit, t, degrees_of_freedom)[0]) - confidence

    return float(np.exp(brentq(excess, np.log(1e-3), np.log(1e6), xtol=1e-9)))


def _studentized(
    limit: Callable[[Floats], Floats], statistics: Floats, degrees_of_freedom: float
) -> Floats:
    """P(largest statistic <= t) with standard errors estimated on that many degrees of freedom."""
    if np.isinf(degrees_of_freedom):
        return limit(statistics)
    scale, weight = _scale_nodes(degrees_of_freedom)
    values = limit(np.ravel(np.outer(statistics, scale)))
    return np.asarray(values.reshape(len(statistics), len(scale)) @ weight)


@functools.lru_cache(maxsize=4096)
def _scale_nodes(degrees_of_freedom: float) -> tuple[Floats, Floats]:
    """Nodes s and weights for the density of sqrt(chi-squared / df), by Gauss-Legendre in log s."""
    df = degrees_of_freedom
    ends = chi2.ppf([1e-16, 1 - 1e-15], df)
    low, high = 0.5 * np.log(np.maximum(ends, 1e-32) / df)
    nodes, weights = _legendre(float(low), float(high), 96)
    log_density = np.log(2) + df / 2 * np.log(df / 2) - gammaln(df / 2)
    log_density = log_density + df * nodes - df / 2 * np.exp(2 * nodes)
    weights = weights * np.exp(log_density)
    return np.exp(nodes), weights / weights.sum()


_unit_legendre = functools.cache(np.polynomial.legendre.leggauss)


def _legendre(low: float, high: float, count: int) -> tuple[Floats, Floats]:
    nodes, weights = _unit_legendre(count)
    half = (high - low) / 2
    return low + half * (nodes + 1), half * weights
