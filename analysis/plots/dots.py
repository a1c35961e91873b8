"""Panels of dots: a row per arm, a dot per seed, a line at their mean."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from curricle.analysis.plots import style
from curricle.analysis.plots.curricula import line_styles

Floats = npt.NDArray[np.float64]
# Draws one arm's dots of one panel: axes, the panel's name, the arm, its row and its colour.
Draw = Callable[[Axes, str, str, int, str], None]

_PER_ROW = 3
_ROW = 22.0


def dots_figure(
    panels: Sequence[str], arms: Sequence[str], curricula: Sequence[str], draw: Draw
) -> Figure:
    """A panel for each name, three beside each other. The first of `arms` is the control."""
    marks = line_styles(arms, arms[0], curricula)
    lines = -(-len(panels) // _PER_ROW)
    left, height = style.label_width(arms), _ROW * len(arms)
    width = (style.WIDTH - left) / _PER_ROW - 24
    figure = style.new_figure(style.WIDTH, (height + 70) * lines)
    for index, name in enumerate(panels):
        column, line = index % _PER_ROW, index // _PER_ROW
        axes = style.panel(
            figure, left + (width + 24) * column, 26 + (height + 70) * line, width, height
        )
        style.rows(axes, arms if column == 0 else [""] * len(arms))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        for row, arm in enumerate(arms):
            draw(axes, name, arm, row, marks[arm][0])
        style.title(axes, name)
    return figure


def dots(axes: Axes, row: int, values: Floats, low: Floats, high: Floats, colour: str) -> None:
    """A dot for each value with a thin line from `low` to `high`, and a line at their mean.

    Nothing for an arm without a value, as a running study has some.
    """
    if not len(values):
        return
    places = row + np.linspace(-0.22, 0.22, len(values) + 2)[1:-1]
    axes.plot([low, high], [places] * 2, color=colour, lw=0.8, alpha=0.6)
    axes.plot(values, places, "o", color=colour, markersize=4, alpha=0.8)
    axes.plot([values.mean()] * 2, [row - 0.36, row + 0.36], color=colour, linewidth=1.8)
