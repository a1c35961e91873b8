"""Exact Jaccard similarity of documents' sets of shingles."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from curricle.recipes.codepoints import Indices
from curricle.recipes.shingles import Shingles

PAIRS_PER_CHUNK = 512


def exact_jaccard(shingles: Shingles, pairs: Indices) -> npt.NDArray[np.float64]:
    """Jaccard similarity of the shingle sets of each pair of documents, shape (pairs,)."""
    if not len(pairs):
        return np.empty(0, dtype=np.float64)
    documents, rows = np.unique(pairs, return_inverse=True)
    sets = incidence(shingles.take(documents))
    sizes = np.diff(sets.indptr)
    similarities = []
    for left, right in _chunks(rows.reshape(pairs.shape)):
        common = sets[left].multiply(sets[right]).sum(axis=1)
        similarities.append(common / (sizes[left] + sizes[right] - common))
    return np.concatenate(similarities)


def incidence(shingles: Shingles) -> csr_array:
    """Documents x distinct shingles, 1 where the document has the shingle."""
    distinct, columns = np.unique(shingles.hashes, return_inverse=True)
    rows = np.repeat(np.arange(len(shingles)), shingles.lengths())
    ones = np.ones(len(columns), dtype=np.int32)
    sets = coo_array((ones, (rows, columns)), shape=(len(shingles), len(distinct))).tocsr()
    sets.data[:] = 1
    return sets


def _chunks(pairs: Indices) -> Iterator[tuple[Indices, Indices]]:
    for start in range(0, len(pairs), PAIRS_PER_CHUNK):
        chunk = pairs[start : start + PAIRS_PER_CHUNK]
        yield chunk[:, 0], chunk[:, 1]
