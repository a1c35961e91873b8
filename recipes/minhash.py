"""MinHash signatures of documents.

A document is the set of its n-grams of words (see `shingles.py`); one without words is like no
other. Signatures are rensa's (MinHash: Broder 1997).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from curricle.recipes.codepoints import Indices
from curricle.recipes.hashing import Hashes
from curricle.recipes.shingles import Shingles

SIGNATURE_SEED = 1

Signature = npt.NDArray[np.uint32]


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
