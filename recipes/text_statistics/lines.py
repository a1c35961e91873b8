"""Statistics of the lines of texts, one function a statistic's family."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from curricle.recipes.character_flags import TERMINALS
from curricle.recipes.text_statistics.repetition import repeated

Values = npt.NDArray[np.float64]

# FineWeb calls a line of at most this many characters short.
SHORT_LINE = 30

_BULLETS, _ELLIPSES = ("•", "-"), ("...", "…")
_TERMINALS = frozenset(TERMINALS)


def bullet_line_share(texts: Sequence[str]) -> Values:
    """Share of the lines that start with a bullet or a hyphen."""
    return _share_of_lines(texts, _BULLETS, lambda line: line.lstrip().startswith(_BULLETS))


def ellipsis_line_share(texts: Sequence[str]) -> Values:
    """Share of the lines that end with an ellipsis."""
    return _share_of_lines(texts, _ELLIPSES, lambda line: line.rstrip().endswith(_ELLIPSES))


def fineweb_lines(texts: Sequence[str]) -> dict[str, Values]:
    """FineWeb's shares of its non-blank lines (arXiv 2406.17557, section 3.6).

    Lines that end with a terminal mark, short ones, and the share of characters in lines that
    repeat an earlier one.
    """
    shares = []
    for text in texts:
        lines = [line for line in text.split("\n") if line and not line.isspace()]
        count = max(len(lines), 1)
        characters = max(len(text) - text.count("\n"), 1)
        shares.append(
            (
                sum(line[-1] in _TERMINALS for line in lines) / count,
                sum(len(line) <= SHORT_LINE for line in lines) / count,
                repeated(lines).characters / characters,
            )
        )
    names = ("punctuated-line-share", "short-line-share", "repeated-line-character-share")
    columns = np.array(shares, dtype=np.float64).reshape(len(texts), len(names)).T
    return dict(zip(names, columns, strict=True))


def _share_of_lines(
    texts: Sequence[str], marks: Sequence[str], holds: Callable[[str], bool]
) -> Values:
    """Share of the lines that `holds`; only texts that contain one of `marks` are looked at."""
    shares = np.zeros(len(texts), dtype=np.float64)
    for index, text in enumerate(texts):
        if any(mark in text for mark in marks):
            lines = text.splitlines()
            shares[index] = sum(map(holds, lines)) / len(lines)
    return shares
