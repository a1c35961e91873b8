"""Word n-grams of documents as 64-bit hashes, in NumPy over whole batches of documents.

Words are lower-cased runs of letters, digits and underscores. A document with fewer than n words is
a single shingle of all of them; one without words has none. No Python loop runs per word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curricle.recipes.codepoints import Indices, lower_words, runs
from curricle.recipes.hashing import Hashes, mix, span_hashes
from curricle.recipes.pieces import batches, portions

_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Shingles:
    """Shingle hashes of documents: those of document i are `hashes[offsets[i]:offsets[i + 1]]`."""

    hashes: Hashes
    offsets: Indices

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> Indices:
        """Shingles per document, repetitions counted; shape (documents,)."""
        return np.diff(self.offsets)

    def sums(self) -> Hashes:
        """Sum of each document's hashes: equal for equal multisets of shingles; (documents,)."""
        totals = np.zeros(len(self.hashes) + 1, dtype=np.uint64)
        np.cumsum(self.hashes, out=totals[1:])
        return totals[self.offsets[1:]] - totals[self.offsets[:-1]]

    def take(self, documents: Indices) -> "Shingles":
        """The shingles of some documents, in the order given."""
        lengths = self.lengths()[documents]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(self.offsets[documents] - offsets[:-1], lengths)
        return Shingles(self.hashes[np.arange(offsets[-1]) + shift], offsets)


def shingle(texts: Sequence[str], ngram: int) -> Shingles:
    """Hashes of all word n-grams of `texts`."""
    parts = [_shingle_batch(batch, ngram) for batch in batches(texts)]
    hashes = np.concatenate([np.empty(0, np.uint64), *(part[0] for part in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)])
    return Shingles(hashes, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def _shingle_batch(texts: Sequence[str], ngram: int) -> tuple[Hashes, Indices]:
    """Shingle hashes of a batch, and how many each text has."""
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for portion in portions(texts):
        lowered = lower_words(portion.code_points)
        starts, ends = runs(lowered != 0)
        hashes.append(span_hashes(lowered, starts, ends))
        owners.append(portion.texts_of(starts))
    counts = np.bincount(np.concatenate(owners), minlength=len(texts))
    return _ngrams(np.concatenate(hashes), counts, ngram)


def _ngrams(words: Hashes, counts: Indices, ngram: int) -> tuple[Hashes, Indices]:
    """Hashes of `ngram` following words of one text; words beyond its end count as zero.

    `counts` are the texts' words, in turn; returns the hashes, and how many each text has.
    """
    ends = np.cumsum(counts)
    # Words that follow each word in its text, itself counted.
    left = np.repeat(ends, counts) - np.arange(len(words))
    hashes = np.zeros(len(words), dtype=np.uint64)
    for position in range(ngram):
        hashes *= _BASE
        present = left[: max(len(words) - position, 0)] > position
        hashes[: len(present)] += words[position:] * present
    kept = np.where(counts < ngram, np.minimum(counts, 1), counts - ngram + 1)
    firsts = np.repeat(np.minimum(counts, ngram), counts)
    return mix(hashes[left >= firsts]), kept
