"""Tables and paragraphs on the terminal: plain text, at most 100 columns."""

import textwrap
from collections.abc import Sequence

WIDTH = 100


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: frozenset[int]) -> str:
    """Aligned columns, two spaces apart; columns in `left` flush left, all others flush right.

    The widest left column is cut, with an ellipsis, if a line would be longer than `WIDTH`.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    excess = sum(widths) + 2 * (len(widths) - 1) - WIDTH
    if excess > 0:
        widest = max(left, key=lambda index: widths[index])
        widths[widest] = max(8, widths[widest] - excess)
    return "\n".join(_line(row, widths, left) for row in (header, *rows))


def _line(row: Sequence[str], widths: Sequence[int], left: frozenset[int]) -> str:
    cells = []
    for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
        fitted = cell if len(cell) <= width else cell[: width - 1] + "…"
        cells.append(fitted.ljust(width) if index in left else fitted.rjust(width))
    return "  ".join(cells).rstrip()


def wrapped(text: str, *, label: str = "", indent: int = 0) -> str:
    """`text` in lines of at most `WIDTH`, the first one after `label`."""
    return textwrap.fill(
        text, WIDTH, initial_indent=label.ljust(indent), subsequent_indent=" " * indent
    )
