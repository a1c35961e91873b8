"""Intervals of means over documents, by resampling the documents.

A loss per token or per byte is a ratio of two sums over documents, whose lengths are random too.
With few documents a percentile bootstrap is too narrow; the studentised one used here (bootstrap-t;
Efron & Tibshirani 1993, section 12.5) less so. Share of 600 trials in which the 95 % interval held
the true loss, for log-normal lengths with a standard deviation of 0.5 / 1.5 in their logarithm:

    documents        8            16            40
    percentile    85 / 86 %    92 / 88 %    93 / 91 %
    studentised   93 / 88 %    94 / 91 %    95 / 92 %

Shape suffixes: D documents of a group, R replicates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricle.core.seeds import generator

LEAST_DOCUMENTS = 10
LEAST_PER_GROUP = 3
REPLICATES = 2000
CONFIDENCE = 0.95
_MOST_DRAWS = 1 << 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval; None where there are too few documents for one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Group:
    """Documents of one domain: two numbers of each, shapes (D,), whose sums' ratio is estimated."""

    numerator: Floats
    denominator: Floats

    @property
    def ratio(self) -> float:
        """Sum over sum."""
        return float(self.numerator.sum() / self.denominator.sum())


def mean_ratio(
    groups: Sequence[Group],
    *,
    confidence: float = CONFIDENCE,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """The unweighted mean over `groups` of their ratios, with its interval over documents.

    Documents are drawn with replacement within each group. Fewer than `LEAST_DOCUMENTS` in all, or
    than `LEAST_PER_GROUP` in one, leave no interval. The same groups and seed give the same one.
    """
    value = float(np.mean([group.ratio for group in groups]))
    sizes = [len(group.numerator) for group in groups]
    if sum(sizes) < LEAST_DOCUMENTS or min(sizes) < LEAST_PER_GROUP:
        return Interval(value, None, None)
    draw = generator(seed, "bootstrap")
    found = [_resample(group, replicates, draw) for group in groups]
    deviation_R = np.mean([deviation for deviation, _ in found], axis=0)
    error_R = _error([variance for _, variance in found])
    error = _error([_variance(group) for group in groups])
    scaled_R = np.divide(
        deviation_R, error_R, out=np.zeros_like(deviation_R), where=np.asarray(error_R) > 0
    )
    tail = (1 - confidence) / 2
    below, above = np.quantile(scaled_R, [tail, 1 - tail])
    return Interval(value, float(value - above * error), float(value - below * error))


def _resample(group: Group, replicates: int, draw: np.random.Generator) -> tuple[Floats, Floats]:
    """Of each replicate: its ratio minus the group's, and the estimated variance of its ratio."""
    documents = len(group.numerator)
    columns_D5 = _columns(group)
    sums_R5 = np.empty((replicates, columns_D5.shape[1]))
    rows = max(1, _MOST_DRAWS // documents)
    for start in range(0, replicates, rows):
        count = min(rows, replicates - start)
        drawn = draw.integers(0, documents, (count, documents))
        for column in range(columns_D5.shape[1]):
            sums_R5[start : start + count, column] = columns_D5[:, column][drawn].sum(axis=1)
    residual, size, residual2, product, size2 = sums_R5.T
    deviation_R = residual / size
    squares_R = residual2 - 2 * deviation_R * product + deviation_R**2 * size2
    variance_R = np.maximum(squares_R, 0.0) * documents / (documents - 1) / size**2
    return deviation_R, variance_R


def _variance(group: Group) -> float:
    """Variance of the ratio, to first order (the delta method)."""
    documents = len(group.numerator)
    residual_D = group.numerator - group.ratio * group.denominator
    scale = documents / (documents - 1) / group.denominator.sum() ** 2
    return float(scale * (residual_D**2).sum())


def _columns(group: Group) -> Floats:
    size_D = group.denominator
    residual_D = group.numerator - group.ratio * size_D
    return np.stack(
        [residual_D, size_D, residual_D**2, residual_D * size_D, size_D**2], axis=1, dtype=float
    )


def _error(variances: Sequence[Floats] | Sequence[float]) -> Floats:
    """Standard error of the mean of independent estimates."""
    total: Floats = np.sqrt(np.sum(variances, axis=0)) / len(variances)
    return total
