"""Word n-grams of documents as 64-bit hashes, in NumPy over whole batches of documents.

Words are lower-cased runs of letters, digits and underscores. A document with fewer than n words is
a single shingle of all of them; one without words has none. No Python loop runs per word.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import is_word_character, lower, runs, to_code_points

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

# Batches of this many characters keep the intermediate arrays (some 60 bytes a character) small.
BATCH_CHARACTERS = 1 << 19

_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE_BASE = np.uint64(pow(int(_BASE), -1, 1 << 64))


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

    def take(self, documents: Indices) -> "Shingles":
        """The shingles of some documents, in the order given."""
        lengths = self.lengths()[documents]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(self.offsets[documents] - offsets[:-1], lengths)
        return Shingles(self.hashes[np.arange(offsets[-1]) + shift], offsets)


def shingle(texts: Sequence[str], ngram: int) -> Shingles:
    """Hashes of all word n-grams of `texts`."""
    parts = [_shingle_batch(batch, ngram) for batch in _batches(texts)]
    hashes = np.concatenate([np.empty(0, np.uint64), *(part[0] for part in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)])
    return Shingles(hashes, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def distinct_documents(shingles: Shingles) -> tuple[Indices, Indices]:
    """First documents of each distinct list of shingles, and for each document which it is.

    Documents with equal shingles in equal number needn't be compared: large families of exact
    copies (licences) then cost as much as one of them. The order of shingles doesn't count.
    """
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(shingles.hashes, dtype=np.uint64)])
    keys = sums[shingles.offsets[1:]] - sums[shingles.offsets[:-1]]
    empty = np.flatnonzero(shingles.lengths() == 0)
    keys[empty] = mix(empty.astype(np.uint64))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first, inverse


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _shingle_batch(texts: list[str], ngram: int) -> tuple[Hashes, Indices]:
    """Shingle hashes of a batch, and how many each text has."""
    code_points = to_code_points("\n".join(texts))
    starts, ends = runs(is_word_character(code_points))
    words = _word_hashes(lower(code_points), starts, ends)
    text_starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    document = np.searchsorted(text_starts, starts, side="right") - 1
    return _ngrams(words, document, ngram, len(texts))


def _ngrams(words: Hashes, document: Indices, ngram: int, documents: int) -> tuple[Hashes, Indices]:
    """Hashes of `ngram` following words of one document; words beyond its end count as zero."""
    # The padding belongs to no document, so that every word has ngram - 1 successors.
    padded_words = np.concatenate([words, np.zeros(ngram - 1, np.uint64)])
    padded_document = np.concatenate([document, np.full(ngram - 1, -1)])
    hashes = np.zeros(len(words), dtype=np.uint64)
    for position in range(ngram):
        same = padded_document[position : position + len(words)] == document
        hashes *= _BASE
        hashes += np.where(same, padded_words[position : position + len(words)], np.uint64(0))
    is_first = np.diff(document, prepend=-1) != 0
    # After the loop `same` says whether the last of the n words is still in the document.
    keep = same | (is_first & (np.bincount(document, minlength=documents)[document] < ngram))
    return mix(hashes[keep]), np.bincount(document[keep], minlength=documents)


def _word_hashes(code_points: npt.NDArray[np.uint32], starts: Indices, ends: Indices) -> Hashes:
    """Polynomial hash of each word, by differences of prefix sums modulo 2^64."""
    powers, inverse_powers = _powers(1 << max(len(code_points) - 1, 1).bit_length())
    prefix = np.zeros(len(code_points) + 1, dtype=np.uint64)
    np.cumsum(code_points * powers[: len(code_points)], out=prefix[1:])
    return mix((prefix[ends] - prefix[starts]) * inverse_powers[starts])


@functools.lru_cache(maxsize=1)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    ascending = np.cumprod(np.full(count, _BASE), dtype=np.uint64)
    descending = np.cumprod(np.full(count, _INVERSE_BASE), dtype=np.uint64)
    return ascending, descending


def mix(values: Hashes) -> Hashes:
    """splitmix64's finaliser: every input bit changes half of the output bits."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
