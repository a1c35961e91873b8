"""Text as NumPy arrays of Unicode code points, with tables of what each of them is.

Working on code points instead of bytes makes word characters, letters and lower case exact for
every script. Text of the basic multilingual plane takes two bytes a character, any other four.
"""

import functools
import re
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

CodePoints = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

NUMBER_OF_CODE_POINTS = sys.maxunicode + 1
# The last cased script (Adlam) ends at U+1E943; everything above is its own lower case.
_LAST_CASED = 0x1E943
# No plane from U+40000 on has letters, digits or white space.
LAST_WORD_CHARACTER = 0x3FFFF


def to_code_points(text: str) -> CodePoints:
    """The code points of `text`, shape (characters,)."""
    narrow = text.encode("utf-16-le", "surrogatepass")
    if len(narrow) == 2 * len(text):
        return np.frombuffer(narrow, dtype="<u2")
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def to_text(code_points: CodePoints) -> str:
    """The inverse of `to_code_points`."""
    return code_points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def is_word_character(code_points: CodePoints) -> Mask:
    """The characters of words in the sense of `re`: letters, digits, underscore."""
    return _matching(r"\w+")[code_points]


def is_letter(code_points: CodePoints) -> Mask:
    """Which characters are part of a word and neither a decimal digit nor the underscore."""
    return _matching(r"[^\W\d_]+")[code_points]


def lower(code_points: CodePoints) -> CodePoints:
    """Each character's lower case; of the few that lower to several characters, the first."""
    return _lower_table()[code_points].astype(code_points.dtype, copy=False)


def lower_words(code_points: CodePoints) -> CodePoints:
    """The lower case of word characters, 0 for all others, of the same type as the input."""
    narrow = code_points.dtype.itemsize == 2
    table = _narrow_lower_word_table() if narrow else _lower_word_table()
    return table[code_points]


def runs(mask: Mask) -> tuple[Indices, Indices]:
    """Starts and (exclusive) ends of the runs of True in `mask`."""
    padded = np.zeros(len(mask) + 2, dtype=np.bool_)
    padded[1:-1] = mask
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    return changes[0::2], changes[1::2]


@functools.cache
def _matching(pattern: str) -> Mask:
    table = np.zeros(NUMBER_OF_CODE_POINTS, dtype=np.bool_)
    candidates = "".join(map(chr, range(LAST_WORD_CHARACTER + 1)))
    for match in re.finditer(pattern, candidates):
        table[match.start() : match.end()] = True
    return table


@functools.cache
def _lower_table() -> npt.NDArray[np.uint32]:
    table = np.arange(NUMBER_OF_CODE_POINTS, dtype=np.uint32)
    table[: _LAST_CASED + 1] = [ord(chr(code).lower()[0]) for code in range(_LAST_CASED + 1)]
    return table


@functools.cache
def _lower_word_table() -> npt.NDArray[np.uint32]:
    return np.where(_matching(r"\w+"), _lower_table(), np.uint32(0)).astype(np.uint32)


@functools.cache
def _narrow_lower_word_table() -> npt.NDArray[np.uint16]:
    return _lower_word_table()[: 1 << 16].astype(np.uint16)
