"""Repetition inside a document, as the Gopher paper counts it (arXiv 2112.11446, table A1).

Line feeds separate lines, two or more paragraphs. Shares are of the text's characters, n-grams are
of words, and everything is exact but for collisions of 64-bit hashes.
"""

import array
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import Indices
from curricle.recipes.hashing import mix
from curricle.recipes.text_statistics.words import Words

TOP_NGRAMS, DUPLICATE_NGRAMS = (2, 3, 4), (5, 6, 7, 8, 9, 10)

Values = npt.NDArray[np.float64]
# Places and numbers within one batch of texts, where 31 bits are enough.
Narrow = npt.NDArray[np.int32]

_PARAGRAPH_BREAK, _LINE_BREAK = re.compile(r"\n{2,}"), re.compile(r"\n+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 1 << 16


class _Grams(NamedTuple):
    """n-grams that occur more than once in their text.

    The word each begins with (ascending), for each a number that equal n-grams of one text share,
    and how many those are.
    """

    places: Narrow
    groups: Narrow
    counts: Indices


def duplicated_parts(texts: Sequence[str]) -> dict[str, Values]:
    """Shares of repeated lines and paragraphs, in number and in characters."""
    shares = []
    for text in texts:
        paragraphs = repeated(_PARAGRAPH_BREAK.split(text.strip()))
        lines = repeated(_LINE_BREAK.split(text))
        characters = max(len(text), 1)
        shares.append(
            (
                paragraphs.parts / paragraphs.of,
                paragraphs.characters / characters,
                lines.parts / lines.of,
                lines.characters / characters,
            )
        )
    names = [
        f"duplicate-{part}{of}-share" for part in ("paragraph", "line") for of in ("", "-character")
    ]
    columns = np.array(shares, dtype=np.float64).reshape(len(texts), len(names)).T
    return dict(zip(names, columns, strict=True))


class Repeated(NamedTuple):
    """How many of `of` parts repeat an earlier one, and how many characters these have."""

    parts: int
    characters: int
    of: int


def repeated(parts: Sequence[str]) -> Repeated:
    """Count the parts that repeat an earlier one."""
    distinct = set(parts)
    if len(distinct) == len(parts):
        return Repeated(0, 0, len(parts))
    characters = sum(map(len, parts)) - sum(map(len, distinct))
    return Repeated(len(parts) - len(distinct), characters, len(parts))


def repeated_ngrams(words: Words, characters: Indices) -> dict[str, Values]:
    """Shares of characters in the most frequent n-gram (n 2 to 4) and in repeated ones (5 to 10).

    Only n-grams whose first n - 1 words repeat are looked at, so that long ones cost little.
    """
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(words.counts)])
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(words.lengths)])
    totals = np.maximum(characters, 1)
    shares = {}
    for size, grams in _repeating_ngrams(words, bounds):
        if size in TOP_NGRAMS:
            share = _top(grams, bounds, offsets, size) / totals
            shares[f"top-{size}-gram-character-share"] = share
        else:
            share = _duplicates(grams, bounds, offsets, size) / totals
            shares[f"duplicate-{size}-gram-character-share"] = share
    return shares


def _repeating_ngrams(words: Words, bounds: Indices) -> Iterator[tuple[int, _Grams]]:
    """For n from 2 to 10 the n-grams that occur more than once in their text."""
    ends = np.repeat(bounds[1:].astype(np.int32), words.counts)
    texts = mix(np.arange(len(words.counts), dtype=np.uint64))
    # Not a mere sum: words of one mark are mixed just so; "(" in text 41 would be ")" in text 40.
    hashes = mix(words.hashes * _MULTIPLIER + np.repeat(texts, words.counts))
    places = np.arange(len(words.hashes), dtype=np.int32)
    for size in range(2, DUPLICATE_NGRAMS[-1] + 1):
        inside = places + size <= ends[places]
        places, hashes = places[inside], hashes[inside]
        hashes = mix(hashes * _MULTIPLIER + words.hashes[places + size - 1])
        _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        groups = inverse.astype(np.int32)
        repeat = counts[groups] > 1
        places, hashes, groups = places[repeat], hashes[repeat], groups[repeat]
        yield size, _Grams(places, groups, counts)


def _top(grams: _Grams, bounds: Indices, offsets: Indices, size: int) -> Indices:
    """Characters (with single spaces between words) in the most frequent n-gram of each text.

    Of equally frequent ones the first counts; where none repeats it is the text's first n-gram.
    """
    characters = np.zeros(len(bounds) - 1, dtype=np.int64)
    enough = np.flatnonzero(np.diff(bounds) >= size)
    first, times = bounds[:-1].copy(), np.ones(len(bounds) - 1, dtype=np.int64)
    texts = np.searchsorted(bounds, grams.places, side="right") - 1
    counts = grams.counts[grams.groups]
    np.maximum.at(times, texts, counts)
    most = np.flatnonzero(counts == times[texts])
    of_text, index = np.unique(texts[most], return_index=True)
    first[of_text] = grams.places[most[index]]
    lengths = offsets[first[enough] + size] - offsets[first[enough]] + size - 1
    characters[enough] = lengths * times[enough]
    return characters


def _duplicates(grams: _Grams, bounds: Indices, offsets: Indices, size: int) -> Indices:
    """Characters in n-grams that occurred before, read from left to right without overlaps."""
    characters = np.zeros(len(bounds) - 1, dtype=np.int64)
    accepted = array.array("q")
    seen = bytearray(len(grams.counts))
    free = 0
    for place, group in _pairs(grams.places, grams.groups):
        if place < free:
            continue
        if seen[group]:
            accepted.append(place)
            free = place + size
        else:
            seen[group] = True
    found = np.array(accepted, dtype=np.int64)
    texts = np.searchsorted(bounds, found, side="right") - 1
    np.add.at(characters, texts, offsets[found + size] - offsets[found])
    return characters


def _pairs(left: Narrow, right: Narrow) -> Iterator[tuple[int, int]]:
    """The pairs as Python's numbers, of which few exist at a time."""
    for start in range(0, len(left), _CHUNK):
        rows = slice(start, start + _CHUNK)
        yield from zip(left[rows].tolist(), right[rows].tolist(), strict=True)
