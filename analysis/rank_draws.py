"""Ranks and the chance of being the best, from draws of the recipes' true means.

Under a flat prior the means' posterior is a multivariate t around the estimates, with the variance
pooled over recipes: three seeds of one recipe alone say little about its noise, and resampling
three numbers says less. Where the residuals show more noise than that (`unequal_noise`), each draw
adds it, and where values were measured on documents, what another sample of documents would have
changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricle.analysis.additive_model import AdditiveFit
from curricle.analysis.pairwise import Pairwise
from curricle.analysis.unequal_noise import UnequalNoise
from curricle.core.seeds import generator

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DRAWS = 10_000
_CHUNK = 2_000


@dataclass(frozen=True)
class RankDraws:
    """Per recipe (R,), NaN for what isn't a candidate and without an error estimate.

    `best` is the share of draws in which the recipe is lowest, `low` and `high` hold its rank among
    the candidates in the middle share of draws: of this recipe alone, not of all jointly.
    """

    best: Floats
    low: Floats
    high: Floats


def draw_ranks(
    pairwise: Pairwise, candidate: Bools, confidence: float, draws: int = DRAWS
) -> RankDraws:
    """Rank the `candidate` recipes in every draw; ties share the best rank and the chance."""
    found = np.full((3, len(candidate)), np.nan)
    count = int(candidate.sum())
    if pairwise.fit.variance is None or not count:
        return RankDraws(*found)
    wins, counts = np.zeros(count), np.zeros((count, count + 1), dtype=np.int64)
    offsets = np.arange(count) * (count + 1)
    for values in _draws(pairwise, candidate, draws):
        ranks = _ranks(values)
        first = ranks == 1
        wins += (first / first.sum(axis=1, keepdims=True)).sum(axis=0)
        counts += np.bincount((ranks + offsets).ravel(), minlength=counts.size).reshape(
            counts.shape
        )
    below = counts.cumsum(axis=1) / draws
    tail = (1 - confidence) / 2
    found[:, candidate] = (
        wins / draws,
        (below > tail).argmax(axis=1),
        (below >= 1 - tail - 1e-12).argmax(axis=1),
    )
    return RankDraws(*found)


def _draws(pairwise: Pairwise, candidate: Bools, draws: int) -> Iterator[Floats]:
    """The candidates' true means above the lowest estimate, (draws, C), in chunks."""
    fit = pairwise.fit
    lowest = np.argmin(np.where(candidate, pairwise.means, np.inf))
    above = pairwise.difference[candidate, lowest]
    inside = candidate if len(fit.means) == len(candidate) else np.ones(len(above), dtype=bool)
    root = np.zeros((len(above), 0))
    if pairwise.documents:
        values, vectors = np.linalg.eigh(pairwise.documents.of(candidate).covariance)
        root = vectors * np.sqrt(np.clip(values, 0.0, None))
    random = generator(0, "rank-draws")
    unequal = _Unequal(pairwise.unequal, fit, inside)
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        chi_squared = random.chisquare(fit.degrees_of_freedom, (size, 1))
        spread = np.sqrt((fit.variance or 0.0) * fit.degrees_of_freedom / chi_squared)
        own = random.standard_normal((size, len(above))) / np.sqrt(fit.runs[inside])
        seeds = random.standard_normal((size, fit.factor.shape[1])) @ fit.factor[inside].T
        noise = (own * unequal.scale(size) + seeds) * spread + unequal.excess(size)
        yield above + noise + random.standard_normal((size, root.shape[1])) @ root.T


class _Unequal:
    """Draws of what recipes' noise has beyond the pooled one; no draw where there is nothing."""

    def __init__(self, unequal: UnequalNoise, fit: AdditiveFit, inside: Bools) -> None:
        self.variance = unequal.excess[inside] / fit.runs[inside]
        self.degrees = unequal.degrees_of_freedom[inside]
        self.prior = unequal.prior + fit.runs[inside] - 1
        self.factor = unequal.factor[inside]
        self.random = generator(0, "rank-draws-unequal")

    def scale(self, size: int) -> Floats | float:
        """The recipes' standard deviations over the pooled one (size, C), by their prior."""
        if np.isinf(self.prior).all():
            return 1.0
        chi_squared = self.random.chisquare(self.prior, (size, len(self.prior)))
        return np.asarray(np.sqrt(self.prior / chi_squared))

    def excess(self, size: int) -> Floats | float:
        """What excess variance adds to the means (size, C)."""
        if not self.variance.any() and not self.factor.any():
            return 0.0
        chi_squared = self.random.chisquare(self.degrees, (size, len(self.degrees)))
        own = np.sqrt(self.variance * self.degrees / chi_squared)
        own *= self.random.standard_normal(own.shape)
        seeds = self.random.standard_normal((size, self.factor.shape[1])) @ self.factor.T
        return np.asarray(own + seeds)


def _ranks(values: Floats) -> npt.NDArray[np.int64]:
    """Ranks along the rows, from 1; ties share the lowest."""
    order = values.argsort(axis=1)
    placed = np.take_along_axis(values, order, axis=1)
    places = np.broadcast_to(np.arange(1, values.shape[1] + 1), values.shape).copy()
    tied = placed[:, 1:] == placed[:, :-1]
    if tied.any():
        places[:, 1:][tied] = 0
        places = np.maximum.accumulate(places, axis=1)
    ranks = np.empty_like(places)
    np.put_along_axis(ranks, order, places, axis=1)
    return ranks
