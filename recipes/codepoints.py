"""Text as NumPy arrays of Unicode code points, with tables of what each of them is.

Working on code points instead of bytes costs four bytes a character and makes word
characters, letters and lower case exact for every script.
"""

import functools
import re
import sys

import numpy as np
import numpy.typing as npt

CodePoints = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]

_NUMBER_OF_CODE_POINTS = sys.maxunicode + 1
# The last cased script (Adlam) ends at U+1E943; everything above is its own lower case.
_LAST_CASED = 0x1E943
# No plane from U+40000 on has letters or digits.
_LAST_WORD_CHARACTER = 0x3FFFF


def to_code_points(text: str) -> CodePoints:
    """The code points of `text`, shape (characters,)."""
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
    return _lower_table()[code_points]


def runs(mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Starts and (exclusive) ends of the runs of True in `mask`."""
    padded = np.zeros(len(mask) + 2, dtype=np.int8)
    padded[1:-1] = mask
    changes = np.diff(padded)
    return np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)


@functools.cache
def _matching(pattern: str) -> Mask:
    table = np.zeros(_NUMBER_OF_CODE_POINTS, dtype=np.bool_)
    candidates = "".join(map(chr, range(_LAST_WORD_CHARACTER + 1)))
    for match in re.finditer(pattern, candidates):
        table[match.start() : match.end()] = True
    return table


@functools.cache
def _lower_table() -> CodePoints:
    table = np.arange(_NUMBER_OF_CODE_POINTS, dtype=np.uint32)
    table[: _LAST_CASED + 1] = [ord(chr(code).lower()[0]) for code in range(_LAST_CASED + 1)]
    return table
