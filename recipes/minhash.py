"""Near-duplicates by MinHash and locality-sensitive hashing, checked by exact Jaccard similarity.

A document is the set of its n-grams of words (see `shingles.py`); one without words is like no
other. Signatures are rensa's (MinHash: Broder 1997; LSH: Indyk & Motwani 1998), clusters are
connected components.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rensa import RMinHash
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from curricle.recipes.shingles import Hashes, Indices, Shingles, distinct_documents, mix, shingle

SIGNATURE_SEED = 1
# Within one LSH bucket each document is compared with this many that follow it: all pairs in
# buckets of usual size, and still one connected chain in the largest, at linear cost.
BUCKET_WINDOW = 64
PAIRS_PER_CHUNK = 512


@dataclass(frozen=True)
class MinHashSettings:
    """`ngram` words a shingle, `bands` x `rows` hashes, pairs count from Jaccard `threshold` on."""

    ngram: int = 5
    bands: int = 14
    rows: int = 8
    threshold: float = 0.7


def near_duplicate_clusters(texts: Sequence[str], settings: MinHashSettings) -> Indices:
    """For each text the smallest index in its cluster of near-duplicates; shape (texts,)."""
    shingles = shingle(texts, settings.ngram)
    first, inverse = distinct_documents(shingles)
    distinct = shingles.take(first)
    signatures = signature_matrix(distinct, settings)
    pairs = verified(distinct, _pairs_within(signatures, settings), settings.threshold)
    _, component = connected_components(_adjacency(pairs, len(first)), directed=False)
    return _smallest_member(component[inverse])


def copies_of(
    texts: Sequence[str], references: Sequence[str], settings: MinHashSettings
) -> npt.NDArray[np.bool_]:
    """Which `texts` are exact or near copies of any of `references`; shape (texts,)."""
    shingles = shingle([*references, *texts], settings.ngram)
    first, inverse = distinct_documents(shingles)
    distinct = shingles.take(first)
    is_reference = np.zeros(len(first), dtype=np.bool_)
    is_reference[inverse[: len(references)]] = True
    others, known = np.flatnonzero(~is_reference), np.flatnonzero(is_reference)
    signatures = signature_matrix(distinct, settings)
    pairs = _pairs_between(signatures[others], signatures[known], settings)
    pairs = np.stack([others[pairs[:, 0]], known[pairs[:, 1]]], axis=1)
    copied = is_reference.copy()
    copied[verified(distinct, pairs, settings.threshold)[:, 0]] = True
    copied &= distinct.lengths() > 0
    return copied[inverse[len(references) :]]


def signature_matrix(shingles: Shingles, settings: MinHashSettings) -> Hashes:
    """MinHash signatures, shape (documents, bands x rows)."""
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.hashes,
        shingles.offsets.astype(np.uint64),
        num_perm=settings.bands * settings.rows,
        seed=SIGNATURE_SEED,
    )
    rows = np.array(matrix.to_rows(), dtype=np.uint64)
    signatures = rows.reshape(len(shingles), settings.bands * settings.rows)
    # Documents without words share the signature of nothing; give each one of its own.
    empty = np.flatnonzero(shingles.lengths() == 0)
    signatures[empty] = mix(empty.astype(np.uint64))[:, None]
    return signatures


def verified(shingles: Shingles, pairs: Indices, threshold: float) -> Indices:
    """Those of `pairs` (shape (pairs, 2)) whose exact Jaccard similarity reaches `threshold`."""
    return pairs[exact_jaccard(shingles, pairs) >= threshold]


def exact_jaccard(shingles: Shingles, pairs: Indices) -> npt.NDArray[np.float64]:
    """Jaccard similarity of the shingle sets of each pair of documents, shape (pairs,)."""
    if not len(pairs):
        return np.empty(0, dtype=np.float64)
    documents, rows = np.unique(pairs, return_inverse=True)
    sets = _incidence(shingles.take(documents))
    sizes = np.diff(sets.indptr)
    similarities = []
    for left, right in _chunks(rows.reshape(pairs.shape)):
        common = sets[left].multiply(sets[right]).sum(axis=1)
        similarities.append(common / (sizes[left] + sizes[right] - common))
    return np.concatenate(similarities)


def _band_keys(signatures: Hashes, settings: MinHashSettings) -> Iterator[Hashes]:
    """One hash per document and band, shape (documents,) each."""
    for band in range(settings.bands):
        keys = np.zeros(len(signatures), dtype=np.uint64)
        for row in range(settings.rows):
            keys = mix(keys + signatures[:, band * settings.rows + row] + np.uint64(1))
        yield keys


def _pairs_within(signatures: Hashes, settings: MinHashSettings) -> Indices:
    """Candidate pairs (smaller index first) among the documents; shape (pairs, 2)."""
    found = [np.empty((0, 2), dtype=np.int64)]
    for keys in _band_keys(signatures, settings):
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for gap in range(1, BUCKET_WINDOW + 1):
            equal = np.flatnonzero(ordered[gap:] == ordered[:-gap])
            if not len(equal):
                break
            found.append(np.stack([order[equal], order[equal + gap]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _pairs_between(left: Hashes, right: Hashes, settings: MinHashSettings) -> Indices:
    """All candidate pairs (index in `left`, index in `right`); shape (pairs, 2)."""
    found = [np.empty((0, 2), dtype=np.int64)]
    bands = zip(_band_keys(left, settings), _band_keys(right, settings), strict=True)
    for left_keys, right_keys in bands:
        order = np.argsort(right_keys, kind="stable")
        begin = np.searchsorted(right_keys, left_keys, side="left", sorter=order)
        end = np.searchsorted(right_keys, left_keys, side="right", sorter=order)
        counts = end - begin
        rows = np.repeat(np.arange(len(left_keys)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        found.append(np.stack([rows, order[np.repeat(begin, counts) + within]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _incidence(shingles: Shingles) -> csr_array:
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


def _adjacency(pairs: Indices, documents: int) -> coo_array:
    ones = np.ones(len(pairs), dtype=np.int8)
    return coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(documents, documents))


def _smallest_member(component: Indices) -> Indices:
    """For each document the smallest index with the same component."""
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return first[inverse]
