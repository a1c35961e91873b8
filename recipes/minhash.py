"""MinHash signatures of documents, and near-duplicates found with them.

A document is the set of its n-grams of words (see `shingles.py`); one without words is like no
other. Signatures are rensa's (MinHash: Broder 1997).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rensa import RMinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from curricle.recipes import lsh
from curricle.recipes.codepoints import Indices
from curricle.recipes.hashing import Hashes, mix
from curricle.recipes.shingles import Shingles

SIGNATURE_SEED = 1

Signature = npt.NDArray[np.uint32]
Similarities = npt.NDArray[np.float64]
# The similarity of pairs of documents, shape (pairs, 2) -> (pairs,).
Similarity = Callable[[Indices], Similarities]


@dataclass(frozen=True)
class MinHashSettings:
    """`ngram` words a shingle, `bands` x `rows` hashes, pairs count from Jaccard `threshold` on."""

    ngram: int = 5
    bands: int = 14
    rows: int = 8
    threshold: float = 0.7


@dataclass(frozen=True)
class Signatures:
    """What near-duplicates are found with: 4 bytes a permutation and 16 more for each document.

    Attributes: `values` (documents, permutations); `keys` (documents,), equal where documents have
    the same shingles in the same numbers; `shingles` (documents,), how many there are.
    """

    values: Signature
    keys: Hashes
    shingles: Indices

    def __len__(self) -> int:
        return len(self.keys)

    @staticmethod
    def join(parts: Iterable["Signatures"]) -> "Signatures":
        """The documents of all parts, in turn; there must be a part."""
        values, keys, shingles = zip(
            *((part.values, part.keys, part.shingles) for part in parts), strict=True
        )
        return Signatures(np.concatenate(values), np.concatenate(keys), np.concatenate(shingles))


@dataclass(frozen=True)
class Clusters:
    """`labels` (documents,), equal within a cluster; `similarity` (documents,) to the closest
    member of the cluster that was looked at, NaN for a document that is alone.
    """

    labels: Indices
    similarity: Similarities


def sign(shingles: Shingles, permutations: int) -> Signatures:
    """Signatures of documents given as shingles."""
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.hashes,
        shingles.offsets.astype(np.uint64),
        num_perm=permutations,
        seed=SIGNATURE_SEED,
    )
    values = np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(shingles), permutations)
    return Signatures(values, shingles.sums(), shingles.lengths())


def find_clusters(
    signatures: Signatures,
    groups: Indices,
    shape: lsh.Shape,
    similarity: Similarity,
    threshold: float,
) -> Clusters:
    """Connected components of the candidate pairs whose `similarity` reaches `threshold`.

    Only documents of the same group are compared. Documents with the same shingles are one to
    begin with, so that large families of exact copies (licences) cost as much as one of them.
    """
    keys = signatures.keys ^ mix(groups.astype(np.uint64))
    alone = np.flatnonzero(signatures.shingles == 0)
    keys[alone] = mix(~alone.astype(np.uint64))
    _, first, member, copies = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    distinct = first[signatures.shingles[first] > 0]
    pairs = distinct[lsh.pairs_within(signatures.values[distinct], shape, groups[distinct])]
    found = similarity(pairs)
    close = found >= threshold
    pairs, found = pairs[close], found[close]
    labels = _components(member[pairs], len(first))[member]
    closest = np.where(copies > 1, 1.0, np.nan)
    for column in (0, 1):
        np.fmax.at(closest, member[pairs[:, column]], found)
    return Clusters(labels, closest[member])


def estimated_similarity(signatures: Signatures, pairs: Indices) -> Similarities:
    """Share of equal hashes in the signatures of each pair, which estimates the Jaccard."""
    left, right = signatures.values[pairs[:, 0]], signatures.values[pairs[:, 1]]
    return np.asarray(np.mean(left == right, axis=1), dtype=np.float64)


def _components(pairs: Indices, nodes: int) -> Indices:
    ones = np.ones(len(pairs), dtype=np.int8)
    adjacency = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    return np.asarray(connected_components(adjacency, directed=False)[1], dtype=np.int64)
