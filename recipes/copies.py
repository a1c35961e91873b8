"""Which texts are exact or near copies of known ones, told batch by batch."""

import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricle.recipes import lsh
from curricle.recipes.documents import normalized
from curricle.recipes.jaccard import exact_jaccard
from curricle.recipes.minhash import MinHashSettings, Signatures, sign
from curricle.recipes.shingles import Shingles, shingle

# Texts compared at once: each comparison sorts the references anew.
CHARACTERS = 4 << 20


class CopyFinder:
    """Knows the texts of `references`, and tells which others are copies of one of them.

    A copy is the same when normalised, or has a Jaccard similarity of word n-grams of at least the
    settings' threshold (found by MinHash-LSH, then computed exactly). Memory: four bytes for each
    hash of the references' signatures; the texts aren't kept, and their shingles lie in an unnamed
    file in `scratch` (default: where the system keeps such files).
    """

    def __init__(
        self,
        references: Iterable[Sequence[str]],
        settings: MinHashSettings,
        scratch: Path | None = None,
    ) -> None:
        self._settings = settings
        self._exact: set[bytes] = set()
        self._shingles = _StoredShingles(scratch)
        signatures = [self._sign(shingle([], 1))]
        for texts in references:
            self._exact.update(map(_digest, texts))
            shingles = shingle(texts, settings.ngram)
            self._shingles.add(shingles)
            signatures.append(self._sign(shingles))
        self._signatures = Signatures.join(signatures)
        self._distinct = _distinct(self._signatures)

    def find(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of `texts` are copies; shape (texts,)."""
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        cuts = [0, *(np.flatnonzero(np.diff(ends // CHARACTERS)) + 1).tolist(), len(texts)]
        found = [self._find(texts[start:end]) for start, end in itertools.pairwise(cuts)]
        return np.concatenate(found)

    def _find(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        shingles = shingle(texts, self._settings.ngram)
        near = self._near(shingles, self._sign(shingles))
        return near | np.array([_digest(text) in self._exact for text in texts], dtype=np.bool_)

    def _near(self, shingles: Shingles, signatures: Signatures) -> npt.NDArray[np.bool_]:
        # Of texts with the same shingles one is compared for all.
        compared = _distinct(signatures)
        pairs = lsh.pairs_between(
            signatures.values[compared],
            self._signatures.values[self._distinct],
            lsh.Shape(self._settings.bands, self._settings.rows),
        )
        known, right = np.unique(self._distinct[pairs[:, 1]], return_inverse=True)
        left = compared[pairs[:, 0]]
        both = _joined([shingles, self._shingles.take(known)])
        similarity = exact_jaccard(both, np.stack([left, len(shingles) + right], axis=1))
        copied = signatures.keys[left[similarity >= self._settings.threshold]]
        return np.isin(signatures.keys, copied) & (signatures.shingles > 0)

    def _sign(self, shingles: Shingles) -> Signatures:
        return sign(shingles, self._settings.bands * self._settings.rows)


class _StoredShingles:
    """Shingles of documents on disk; in memory is where those of each begin."""

    def __init__(self, scratch: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - as long as this lives
        self._offsets = np.zeros(1, np.int64)

    def add(self, shingles: Shingles) -> None:
        """Append documents."""
        self._file.write(shingles.hashes.tobytes())
        self._file.flush()
        self._offsets = np.append(self._offsets, self._offsets[-1] + shingles.offsets[1:])

    def take(self, documents: npt.NDArray[np.int64]) -> Shingles:
        """The shingles of some documents, in the order given."""
        spans = np.stack([self._offsets[documents], self._offsets[documents + 1]], axis=1)
        read = b"".join(self._read(start, stop) for start, stop in spans.tolist())
        ends = np.cumsum(spans[:, 1] - spans[:, 0])
        offsets = np.concatenate([[0], ends]).astype(np.int64)
        return Shingles(np.frombuffer(read, np.uint64), offsets)

    def _read(self, start: int, stop: int) -> bytes:
        size = np.uint64().itemsize
        return os.pread(self._file.fileno(), (stop - start) * size, start * size)


def _distinct(signatures: Signatures) -> npt.NDArray[np.int64]:
    """One document for each set of shingles that isn't empty."""
    usable = np.flatnonzero(signatures.shingles > 0)
    _, first = np.unique(signatures.keys[usable], return_index=True)
    return usable[first]


def _joined(parts: Sequence[Shingles]) -> Shingles:
    hashes = np.concatenate([part.hashes for part in parts])
    lengths = np.concatenate([part.lengths() for part in parts])
    return Shingles(hashes, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(normalized(text).encode(), digest_size=16).digest()
