"""A table drawn as coloured cells: blue below zero, vermilion above, fading towards zero."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from curricle.analysis.plots import style

_ROW = 22.0
_COLUMN = 92.0
_LABEL_CHARACTERS = 15
_LINE = 14.0
_POINTS = 0.75
_MOST_ROWS_WITH_TEXT = 60


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value that gives the colour, the text that stands on it, and whether that is bold."""

    value: float
    text: str
    bold: bool = False


def cells_figure(
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    grid: Sequence[Sequence[Cell | None]],
    scale: float,
    title: str,
) -> Figure:
    """Cells of `grid` (rows x columns), None for an empty one; values beyond `scale` look alike.

    Colour is laid over the page, so that the figure suits a light and a dark one. Many rows are
    drawn lower and without texts.
    """
    dense = len(row_labels) > _MOST_ROWS_WITH_TEXT
    row_height = _ROW * 0.7 if dense else _ROW
    left = style.label_width(row_labels)
    width, height = _COLUMN * len(column_labels), row_height * len(row_labels)
    labels = [textwrap.fill(style.plain(label), _LABEL_CHARACTERS) for label in column_labels]
    more = _LINE * max((label.count("\n") for label in labels), default=0)
    figure = style.new_figure(left + width + 10, height + 62 + more)
    axes = style.panel(figure, left, 54 + more, width, height)
    style.rows(axes, row_labels)
    axes.set_xlim(-0.5, len(column_labels) - 0.5)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks(range(len(column_labels)), labels, fontsize=style.SMALL)
    axes.tick_params(axis="x", length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for row, cells in enumerate(grid):
        for column, cell in enumerate(cells):
            if cell:
                axes.add_patch(_patch(row, column, cell.value / (scale or 1.0)))
                if not dense:
                    style.write(axes, column, row, cell.text, bold=cell.bold)
    style.title(axes, title, pad=28 + _POINTS * more)
    return figure


def _patch(row: int, column: int, share: float) -> Rectangle:
    colour = style.BAD if share > 0 else style.ACCENT
    alpha = 0.5 * min(abs(share), 1.0)
    return Rectangle((column - 0.48, row - 0.45), 0.96, 0.9, facecolor=colour, alpha=alpha, lw=0)
