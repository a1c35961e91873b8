"""The figure about perplexity: bits per byte of each domain, by arm."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis.plots.dots import dots, dots_figure


def perplexity_figure(rows: pd.DataFrame, arms: Sequence[str], curricula: Sequence[str]) -> Figure:
    """Bits per byte at the end of training: a panel per domain, a row per arm, a dot per seed.

    `rows` are the results' rows of that metric. Intervals over documents are left out: they are
    much wider than what tells arms apart. The first of `arms` is the control.
    """

    def draw(axes: Axes, domain: str, arm: str, row: int, colour: str) -> None:
        runs = rows[(rows["domain"] == domain) & (rows["curriculum"] == arm)]
        values = runs["value"].to_numpy(dtype=float)
        dots(axes, row, values, values, values, colour)

    return dots_figure(list(dict.fromkeys(rows["domain"])), arms, curricula, draw)
