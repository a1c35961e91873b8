"""How alike pairs of documents are: by their sets of shingles, or by their signatures.

A similarity is a function of pairs of rows, (pairs, 2) -> (pairs,), that can be pickled and reads
what it needs from disk.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import Indices
from curricle.recipes.document_file import Documents, Shard
from curricle.recipes.engine import Work
from curricle.recipes.hashing import Hashes
from curricle.recipes.jaccard import exact_jaccard
from curricle.recipes.measuring import SIGNATURES
from curricle.recipes.shingles import Shingles, shingle

# Shingles compared at once.
CHUNK = 1 << 20
HASHES = "hashes"

Similarities = npt.NDArray[np.float64]
Similarity = Callable[[Indices], Similarities]


@dataclass(frozen=True)
class EstimatedSimilarity:
    """The share of equal hashes in two signatures, which estimates the Jaccard similarity."""

    measured: Path

    def __call__(self, pairs: Indices) -> Similarities:
        """The estimate of each pair."""
        values = np.load(self.measured / f"{SIGNATURES[0]}.npy", mmap_mode="r")
        found = [np.empty(0, np.float64)]
        for start in range(0, len(pairs), CHUNK >> 8):
            left, right = values[pairs[start : start + (CHUNK >> 8)].T]
            found.append(np.mean(left == right, axis=1))
        return np.concatenate(found)


@dataclass(frozen=True)
class ExactSimilarity:
    """The Jaccard similarity of sets of shingles.

    `folder` holds `rows.npy` (documents,), ascending; `offsets.npy` (documents + 1,), where the
    hashes of each begin in `hashes`, 64-bit numbers.
    """

    folder: Path

    def __call__(self, pairs: Indices) -> Similarities:
        """The similarity of each pair."""
        rows, offsets = (np.load(self.folder / f"{name}.npy") for name in ("rows", "offsets"))
        places = np.searchsorted(rows, pairs)
        sizes = np.cumsum(np.diff(offsets)[places].sum(axis=1))
        cuts = [0, *(np.flatnonzero(np.diff(sizes // CHUNK)) + 1).tolist(), len(pairs)]
        found = [np.empty(0, np.float64)]
        for start, stop in itertools.pairwise(cuts):
            documents, members = np.unique(places[start:stop], return_inverse=True)
            sets = [self._read(*offsets[one : one + 2].tolist()) for one in documents]
            ends = np.cumsum([0, *map(len, sets)]).astype(np.int64)
            shingles = Shingles(np.concatenate([np.empty(0, np.uint64), *sets]), ends)
            found.append(exact_jaccard(shingles, members.reshape(-1, 2)))
        return np.concatenate(found)

    def _read(self, start: int, stop: int) -> Hashes:
        return np.fromfile(self.folder / HASHES, np.uint64, stop - start, offset=8 * start)


class _Sets(NamedTuple):
    """Distinct shingles of some documents, in turn, and how many each has; (documents,)."""

    hashes: Hashes
    lengths: Indices


class _Wanted(NamedTuple):
    """Rows of a shard, ascending."""

    shard: Shard
    rows: Indices


def exact_similarity(
    documents: Documents, ngram: int, rows: Indices, work: Work
) -> ExactSimilarity:
    """Write down the shingles of the documents `rows` (ascending), to compare these by."""
    shards = documents.shards()
    cuts = np.searchsorted(rows, [shard.start for shard in shards])
    wanted = [
        _Wanted(shard, of_shard)
        for shard, of_shard in zip(shards, np.split(rows, cuts[1:]), strict=True)
        if len(of_shard)
    ]
    lengths = [np.empty(0, np.int64)]
    folder = work.scratch
    with (folder / HASHES).open("wb") as stream:
        for sets in work.engine.map(functools.partial(_sets, ngram), wanted):
            stream.write(sets.hashes.tobytes())
            lengths.append(sets.lengths)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "offsets.npy", offsets)
    return ExactSimilarity(folder)


def _sets(ngram: int, wanted: _Wanted) -> _Sets:
    hashes, lengths = [np.empty(0, np.uint64)], []
    for batch in wanted.shard.batches(["text"]):
        first, last = np.searchsorted(wanted.rows, [batch.rows.start, batch.rows.stop])
        chosen = batch.table["text"].take(wanted.rows[first:last] - batch.start).to_pylist()
        shingles = shingle(chosen, ngram)
        for start, stop in itertools.pairwise(shingles.offsets.tolist()):
            hashes.append(np.unique(shingles.hashes[start:stop]))
            lengths.append(len(hashes[-1]))
    return _Sets(np.concatenate(hashes), np.array(lengths, np.int64))
