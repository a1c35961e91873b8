"""Reading ease, lexical diversity and compressibility."""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import CodePoints, Indices, is_letter, lower, lower_words, runs
from curricle.recipes.hashing import span_hashes
from curricle.recipes.pieces import portions

Values = npt.NDArray[np.float64]

# McCarthy & Jarvis (2010): a factor is complete once the type-token ratio falls below this.
TYPE_TOKEN_RATIO = 0.72

_VOWELS = np.zeros(1 << 16, dtype=np.bool_)
_VOWELS[[ord(letter) for letter in "aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿœ"]] = True
_E, _L = ord("e"), ord("l")


def flesch_reading_ease(texts: Sequence[str], sentences: Indices) -> Values:
    """206.835 - 1.015 words/sentences - 84.6 syllables/words (Flesch 1948); 0 without words.

    Words are runs of letters. Syllables are counted as runs of vowels, without a silent final e.
    """
    words, syllables = (np.zeros(len(texts), dtype=np.int64) for _ in range(2))
    for portion in portions(texts):
        code_points = lower(portion.code_points)
        starts, ends = runs(is_letter(code_points))
        owners = portion.texts_of(starts)
        words += np.bincount(owners, minlength=len(texts))
        counts = _syllables(code_points, starts, ends)
        syllables += np.bincount(owners, counts, minlength=len(texts)).astype(np.int64)
    safe = np.maximum(words, 1)
    ease = 206.835 - 1.015 * words / np.maximum(sentences, 1) - 84.6 * syllables / safe
    return np.where(words > 0, ease, 0.0)


def mtld(texts: Sequence[str]) -> Values:
    """Measure of textual lexical diversity, mean of both directions (McCarthy & Jarvis 2010).

    Words are lower-cased runs of letters, digits and underscores; 0 for a text without words.
    """
    counts = np.zeros(len(texts), dtype=np.int64)
    hashes = [np.empty(0, np.uint64)]
    for portion in portions(texts):
        lowered = lower_words(portion.code_points)
        starts, ends = runs(lowered != 0)
        hashes.append(span_hashes(lowered, starts, ends))
        counts += np.bincount(portion.texts_of(starts), minlength=len(texts))
    parts = np.split(np.concatenate(hashes), np.cumsum(counts)[:-1]) if len(texts) else []
    return np.array([_both_directions(part.tolist()) for part in parts], dtype=np.float64)


def compression_ratio(texts: Sequence[str]) -> Values:
    """Bytes of UTF-8 over bytes after zlib's compression at level 6; repetitive text is high."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return np.array([len(one) / len(zlib.compress(one, 6)) for one in encoded], dtype=np.float64)


def _both_directions(words: Sequence[int]) -> float:
    return (_one_direction(words) + _one_direction(words[::-1])) / 2


def _one_direction(words: Sequence[int]) -> float:
    """Words per factor; the rest counts as the part of a factor that it has come to."""
    factors, length = 0.0, 0
    types: set[int] = set()
    for word in words:
        types.add(word)
        length += 1
        if len(types) < TYPE_TOKEN_RATIO * length:
            factors += 1
            length = 0
            types.clear()
    if length:
        factors += (1 - len(types) / length) / (1 - TYPE_TOKEN_RATIO)
    # A text whose words all differ never starts a factor; its length is the best there is to say.
    return len(words) / factors if factors else float(len(words))


def _syllables(code_points: CodePoints, starts: Indices, ends: Indices) -> Indices:
    """Syllables of each word, at least one."""
    vowel = _VOWELS[np.minimum(code_points, len(_VOWELS) - 1)]
    begins = vowel.copy()
    begins[1:] &= ~vowel[:-1]
    totals = np.concatenate([np.zeros(1, np.int64), np.cumsum(begins)])
    counts: Indices = totals[ends] - totals[starts]
    before = code_points[ends - 2]
    silent = (ends - starts > 2) & (code_points[ends - 1] == _E) & (before != _L)
    silent &= ~vowel[ends - 2]
    syllables: Indices = np.maximum(counts - silent, 1)
    return syllables
