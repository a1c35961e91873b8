"""Clusters of near-duplicates in a table that may be larger than memory.

Band keys of the signatures are shuffled on disk, so that equal keys of a band meet in one
partition; each partition is joined into candidate pairs; these meet by row, so that each pair is
compared once; what is alike enough is united. In memory are one partition and, for each document,
some 60 bytes.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curricle.recipes import lsh
from curricle.recipes.array_file import ArrayFile
from curricle.recipes.codepoints import Indices
from curricle.recipes.document_file import Documents
from curricle.recipes.engine import Engine, Work, in_shards
from curricle.recipes.hashing import mix
from curricle.recipes.measuring import read_signatures
from curricle.recipes.pairs import EstimatedSimilarity, Similarities, Similarity, exact_similarity
from curricle.recipes.shuffle import (
    RECORD,
    Shuffled,
    partition_of,
    partitions_for,
    read_partition,
    write_shuffled,
)

# Documents whose band keys are computed at once, and whose pairs are compared at once.
BLOCK_ROWS = 1 << 15
# What comparing a pair weighs against reading records, in bytes.
PAIR_BYTES = 4 << 10


@dataclass(frozen=True)
class Search:
    """What counts as a near-duplicate.

    Candidates share a band of the `shape` and the group; with `ngram` they count from an exact
    Jaccard similarity of `threshold` on, without it in any case.
    """

    shape: lsh.Shape
    threshold: float
    ngram: int | None


@dataclass(frozen=True)
class Clusters:
    """`labels` (documents,): the row of the cluster's first document. `similarity` (documents,) to
    the closest member of the cluster that was looked at, NaN for a document that is alone.
    """

    labels: Indices
    similarity: Similarities


class Block(NamedTuple):
    """Documents from row `start` to `stop`: `rows` that are compared, and their groups."""

    start: int
    stop: int
    rows: Indices
    groups: Indices


class Joined(NamedTuple):
    """Candidate pairs, by the block of their smaller row, and the rows in them."""

    pairs: Shuffled
    rows: Indices


class Compared(NamedTuple):
    """Pairs (pairs, 2) that are alike enough, and how alike; (pairs,)."""

    pairs: Indices
    similarity: Similarities


def find_clusters(
    search: Search,
    documents: Documents,
    measured: Path,
    groups: Indices,
    work: Work,
) -> Clusters:
    """Connected components of the pairs of `documents` that are near-duplicates.

    `measured` holds their signatures. Documents with the same shingles are one to begin with, so
    that large families of exact copies (licences) cost as much as one of them.
    """
    first = _first_of_same(measured, groups)
    joined = _candidates(search, measured, first, groups, work)
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *(one.rows for one in joined)]))
    if search.ngram is None:
        similarity: Similarity = EstimatedSimilarity(measured)
    else:
        similarity = exact_similarity(documents, search.ngram, rows, work)
    labels, closest = first.copy(), np.full(len(first), np.nan)
    copies = np.bincount(first, minlength=len(first))[first] > 1
    closest[first[copies]] = 1.0
    for found in _compared(search, joined, len(first), similarity, work.engine):
        unite(labels, found.pairs)
        for column in (0, 1):
            np.fmax.at(closest, found.pairs[:, column], found.similarity)
    return Clusters(roots(labels, np.arange(len(labels))), closest[first])


def unite(labels: Indices, pairs: Indices) -> None:
    """Union-find over arrays: join the components of each pair, under the smaller root.

    `labels` (nodes,) point to a node of the same component that isn't larger, roots to themselves.
    """
    while len(pairs):
        left, right = roots(labels, pairs[:, 0]), roots(labels, pairs[:, 1])
        apart = left != right
        pairs = pairs[apart]
        low, high = np.minimum(left, right)[apart], np.maximum(left, right)[apart]
        # Of several roots that one is to hang under the smallest wins; the others come next time.
        np.minimum.at(labels, high, low)


def roots(labels: Indices, nodes: Indices) -> Indices:
    """The root of each node; what lay between is shortened on the way."""
    found = labels[nodes]
    while len(np.flatnonzero(moved := labels[found] != found)):
        found[moved] = labels[found[moved]]
    labels[nodes] = found
    return found


def _first_of_same(measured: Path, groups: Indices) -> Indices:
    """For each document the first of its group with the same shingles; one without is alone."""
    keys = ArrayFile(measured / "keys.npy").read() ^ mix(groups.astype(np.uint64))
    alone = np.flatnonzero(_lengths(measured) == 0)
    keys[alone] = mix(~alone.astype(np.uint64))
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    return np.asarray(first[member], dtype=np.int64)


def _lengths(measured: Path) -> Indices:
    """How many shingles each document has."""
    return ArrayFile(measured / "shingles.npy").read()


def _candidates(
    search: Search, measured: Path, first: Indices, groups: Indices, work: Work
) -> list[Joined]:
    own = np.flatnonzero((first == np.arange(len(first))) & (_lengths(measured) > 0))
    size = len(own) * RECORD.itemsize
    partitions = partitions_for(size)
    spread = functools.partial(_spread, search.shape, partitions, measured, work.scratch)
    files = list(work.engine.map(spread, _blocks(own, groups, len(first))))
    numbers = in_shards([size // partitions] * (search.shape.bands * partitions))
    join = functools.partial(_join, files, _number_of_blocks(len(first)), work.scratch)
    return list(work.engine.map(join, list(numbers)))


def _number_of_blocks(documents: int) -> int:
    return max(1, -(-documents // BLOCK_ROWS))


def _blocks(own: Indices, groups: Indices, documents: int) -> list[Block]:
    starts = [number * BLOCK_ROWS for number in range(_number_of_blocks(documents))]
    cuts = np.searchsorted(own, starts)
    return [
        Block(start, min(start + BLOCK_ROWS, documents), rows, groups[rows])
        for start, rows in zip(starts, np.split(own, cuts[1:]), strict=True)
    ]


def _spread(
    shape: lsh.Shape, partitions: int, measured: Path, scratch: Path, block: Block
) -> Shuffled:
    """The band keys of a block; each band has partitions of its own."""
    values = read_signatures(measured, block.start, block.stop).values[block.rows - block.start]
    of_group = mix(block.groups.astype(np.uint64))
    keys = np.concatenate([band ^ of_group for band in lsh.band_keys(values, shape)])
    bands = np.repeat(np.arange(shape.bands), len(block.rows))
    numbers = bands * partitions + partition_of(keys, partitions)
    rows = np.tile(block.rows, shape.bands)
    path = scratch / f"bands-{block.start}"
    return write_shuffled(path, keys, rows, numbers, shape.bands * partitions)


def _join(files: Sequence[Shuffled], blocks: int, scratch: Path, numbers: range) -> Joined:
    """The candidate pairs of some partitions, each once."""
    found = [np.empty((0, 2), np.int64)]
    for number in numbers:
        records = read_partition(files, number)
        found.append(lsh.pairs_of_keys(records["key"], records["row"]))
    pairs = _distinct(np.concatenate(found))
    path = scratch / f"pairs-{numbers.start}"
    shuffled = write_shuffled(
        path, pairs[:, 0].astype(np.uint64), pairs[:, 1], pairs[:, 0] // BLOCK_ROWS, blocks
    )
    return Joined(shuffled, np.unique(pairs))


def _compared(
    search: Search, joined: Sequence[Joined], documents: int, similarity: Similarity, engine: Engine
) -> Iterator[Compared]:
    files = [one.pairs for one in joined]
    counts = np.zeros(_number_of_blocks(documents), np.int64)
    for pairs in files:
        counts += np.diff(pairs.bounds)
    blocks = list(in_shards((counts * PAIR_BYTES).tolist()))
    compare = functools.partial(_compare, search.threshold, files, similarity)
    return engine.map(compare, blocks)


def _compare(
    threshold: float, files: Sequence[Shuffled], similarity: Similarity, blocks: range
) -> Compared:
    """The pairs of some blocks that are alike enough."""
    records = np.concatenate([read_partition(files, block) for block in blocks])
    pairs = _distinct(np.stack([records["key"].astype(np.int64), records["row"]], axis=1))
    found = similarity(pairs)
    close = found >= threshold
    return Compared(pairs[close], found[close])


def _distinct(pairs: Indices) -> Indices:
    """Each pair once, sorted; (pairs, 2)."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    is_new = np.ones(len(pairs), dtype=np.bool_)
    is_new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    distinct: Indices = pairs[is_new]
    return distinct
