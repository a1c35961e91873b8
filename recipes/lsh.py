"""Candidate pairs by locality-sensitive hashing of signatures (Indyk & Motwani 1998).

A signature is cut into bands of rows; two documents are a candidate pair if all rows of any band
are equal. At Jaccard similarity s that happens with probability 1 - (1 - s^rows)^bands.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import Indices
from curricle.recipes.hashing import Hashes, mix

# Within one bucket each document is compared with this many that follow it: all pairs in buckets
# of usual size, and still one connected chain in the largest, at linear cost.
BUCKET_WINDOW = 64

Signature = npt.NDArray[np.uint32]


class Shape(NamedTuple):
    """`bands` bands of `rows` hashes."""

    bands: int
    rows: int

    def probability(self, similarity: float) -> float:
        """The probability that a pair of that Jaccard similarity becomes a candidate."""
        return 1 - (1 - similarity**self.rows) ** self.bands


def shape_for(threshold: float, permutations: int, recall: float) -> Shape:
    """The most selective shape that finds a pair at `threshold` with probability `recall`.

    It has at most `permutations` hashes, and one row a band if no shape is good enough.
    """
    shapes = (Shape(permutations // rows, rows) for rows in range(permutations, 1, -1))
    enough = (shape for shape in shapes if shape.probability(threshold) >= recall)
    return next(enough, Shape(permutations, 1))


def pairs_of_keys(keys: Hashes, rows: Indices) -> Indices:
    """Pairs of rows (smaller one first) with the same key in a band; shape (pairs, 2).

    `rows` (documents,) ascend.
    """
    order = np.argsort(keys, kind="stable")
    ordered, of_key = keys[order], rows[order]
    found = [np.empty((0, 2), np.int64)]
    for gap in range(1, BUCKET_WINDOW + 1):
        equal = np.flatnonzero(ordered[gap:] == ordered[:-gap])
        if not len(equal):
            break
        found.append(np.stack([of_key[equal], of_key[equal + gap]], axis=1))
    return np.concatenate(found)


def pairs_between(left: Signature, right: Signature, shape: Shape) -> Indices:
    """All candidate pairs (index in `left`, index in `right`); shape (pairs, 2)."""
    count = len(right)
    found = [np.empty(0, dtype=np.int64)]
    bands = zip(band_keys(left, shape), band_keys(right, shape), strict=True)
    for left_keys, right_keys in bands:
        order = np.argsort(right_keys, kind="stable")
        begin = np.searchsorted(right_keys, left_keys, side="left", sorter=order)
        end = np.searchsorted(right_keys, left_keys, side="right", sorter=order)
        counts = end - begin
        rows = np.repeat(np.arange(len(left_keys)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        found.append(rows * count + order[np.repeat(begin, counts) + within])
    return _unpack(np.unique(np.concatenate(found)), count)


def band_keys(signatures: Signature, shape: Shape) -> Iterator[Hashes]:
    """One hash per document and band, shape (documents,) each."""
    for band in range(shape.bands):
        keys = np.zeros(len(signatures), dtype=np.uint64)
        for row in range(shape.rows):
            keys = mix(keys + signatures[:, band * shape.rows + row] + np.uint64(1))
        yield keys


def _unpack(packed: Indices, count: int) -> Indices:
    return np.stack(np.divmod(packed, max(count, 1)), axis=1)
