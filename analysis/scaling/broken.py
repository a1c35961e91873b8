"""The smoothly broken power law (Caballero et al. 2023).

L = E + A x^-alpha prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i): at d_i the exponent grows by c_i,
over a stretch of a few f_i in log x.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from curricle.analysis.scaling.laws import LARGEST_LOG, Floats

_PER_BREAK = 3
_CHANGE = (-2.0, 2.0)
"""Of the exponent at a break: exponents of losses lie below 1."""
_PLACES = 12
_SOFT = -1.0
_FLOOR_SHARES = (1e-3, 0.3, 0.6, 0.75, 0.85, 0.92, 0.97, 0.99)
_LOG_SHARPNESS = (np.log(0.03), np.log(1.0))
"""Sharper than a thirtieth looks like a corner between any two sizes; softer than 1 is curvature
that the irreducible term explains as well."""


@dataclass(frozen=True)
class BrokenPowerLaw:
    """The law at N points with so many breaks, each strictly between `lowest` and `highest`.

    Parameter vectors: log E, log A, alpha; then per break three logits: where log d, c and log f
    lie between their bounds. Without bounds a pair of breaks would close in on a single size.
    """

    x: Floats
    breaks: int
    lowest: float
    highest: float

    @property
    def names(self) -> tuple[str, ...]:
        """E, A, alpha; then break_i (d), change_i (c), sharpness_i (f)."""
        parts = [(f"break_{i}", f"change_{i}", f"sharpness_{i}") for i in self._numbers()]
        return ("E", "A", "alpha", *itertools.chain.from_iterable(parts))

    def log_loss(self, theta_SP: Floats) -> tuple[Floats, Floats]:
        """See `Law`."""
        log_x = np.log(self.x)
        power_SN = theta_SP[:, 1:2] - theta_SP[:, 2:3] * log_x
        gradient_SNP = np.empty((len(theta_SP), len(log_x), theta_SP.shape[1]))
        gradient_SNP[..., 1], gradient_SNP[..., 2] = 1.0, -log_x
        for first in range(_PER_BREAK, theta_SP.shape[1], _PER_BREAK):
            part = slice(first, first + _PER_BREAK)
            factor_SN, slope_SN3 = self._break(log_x, theta_SP[:, part])
            power_SN, gradient_SNP[..., part] = power_SN + factor_SN, slope_SN3
        floor_S1 = theta_SP[:, :1]
        value_SN = np.logaddexp(floor_S1, power_SN)
        gradient_SNP[..., 1:] *= np.exp(power_SN - value_SN)[..., None]
        gradient_SNP[..., 0] = np.exp(floor_S1 - value_SN)
        return value_SN, gradient_SNP

    def natural(self, theta_SP: Floats) -> Floats:
        """See `Law`. Breaks are in the order of their place."""
        found = np.array(theta_SP, dtype=float)
        found[:, :2] = np.exp(np.minimum(found[:, :2], LARGEST_LOG))
        breaks_SK3 = found[:, _PER_BREAK:].reshape(len(found), self.breaks, _PER_BREAK)
        breaks_SK3[..., 0] = np.exp(_between(breaks_SK3[..., 0], *self._log_range()))
        breaks_SK3[..., 1] = _between(breaks_SK3[..., 1], *_CHANGE)
        breaks_SK3[..., 2] = np.exp(_between(breaks_SK3[..., 2], *_LOG_SHARPNESS))
        order = np.argsort(breaks_SK3[..., 0], axis=1)[..., None]
        found[:, _PER_BREAK:] = np.take_along_axis(breaks_SK3, order, axis=1).reshape(
            len(found), _PER_BREAK * self.breaks
        )
        return found

    def starts(self, loss: Floats) -> Floats:
        """Starts from every choice of E and of places, with slopes by piecewise-linear regression.

        Given E and the places, log(L - E) is nearly piecewise linear in log x.
        """
        log_x, (low, high) = np.log(self.x), self._log_range()
        columns = [np.ones_like(log_x), -log_x]
        rows = []
        places = itertools.combinations(np.linspace(0.05, 0.95, _PLACES), self.breaks)
        for where, share in itertools.product(list(places), _FLOOR_SHARES):
            bends = [-np.maximum(log_x - low - (high - low) * place, 0.0) for place in where]
            design, target = np.stack([*columns, *bends], axis=1), loss - share * loss.min()
            level, alpha, *changes = np.linalg.lstsq(design, np.log(target), rcond=None)[0]
            breaks = [
                (logit(place), break_change(change), _SOFT)
                for place, change in zip(where, changes, strict=True)
            ]
            floor = np.log(share * loss.min())
            rows.append([floor, level, alpha, *itertools.chain.from_iterable(breaks)])
        return np.array(rows)

    def _break(self, log_x: Floats, part_S3: Floats) -> tuple[Floats, Floats]:
        """The logarithm of one break's factor (S x N) and its gradient (S x N x 3)."""
        low, high = self._log_range()
        place, steep, soft = (part_S3[:, i : i + 1] for i in range(_PER_BREAK))
        change = _between(steep, *_CHANGE)
        width = np.exp(_between(soft, *_LOG_SHARPNESS))
        beyond = log_x - _between(place, low, high)
        bend = np.logaddexp(0.0, beyond / width)
        share = expit(beyond / width)
        slope_SN3 = np.stack(
            [
                change * share * (high - low) * _logit_slope(place),
                -width * bend * (_CHANGE[1] - _CHANGE[0]) * _logit_slope(steep),
                -change
                * (bend - share * beyond / width)
                * width
                * (_LOG_SHARPNESS[1] - _LOG_SHARPNESS[0])
                * _logit_slope(soft),
            ],
            axis=-1,
        )
        return -change * width * bend, slope_SN3

    def _log_range(self) -> tuple[float, float]:
        return float(np.log(self.lowest)), float(np.log(self.highest))

    def _numbers(self) -> range:
        return range(1, self.breaks + 1)


def break_change(change: float) -> float:
    """A change of the exponent as it stands in a parameter vector."""
    low, high = _CHANGE
    return float(logit(np.clip((change - low) / (high - low), 0.01, 0.99)))


def _between(place: Floats, low: float, high: float) -> Floats:
    return np.asarray(low + (high - low) * expit(place))


def _logit_slope(place: Floats) -> Floats:
    share = expit(place)
    return np.asarray(share * (1 - share))
