"""The figure about perplexity: bits per byte of each domain, by arm."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis.plots.dots import dots, dots_figure

METRIC = "validation/bits_per_byte"


def perplexity_figure(rows: pd.DataFrame, arms: Sequence[str], curricula: Sequence[str]) -> Figure:
    """Bits per byte at the end of training: a panel per domain, a row per arm, a dot per seed.

    `rows` are the results' rows; a thin line is a seed's interval over documents, where it has one.
    The first of `arms` is the control.
    """
    table = rows.pivot_table(
        index=["domain", "curriculum", "seed"], columns="metric", values="value"
    )
    domains = list(dict.fromkeys(rows.loc[rows["metric"] == METRIC, "domain"]))

    def draw(axes: Axes, domain: str, arm: str, row: int, colour: str) -> None:
        runs = table[
            (table.index.get_level_values(0) == domain) & (table.index.get_level_values(1) == arm)
        ]
        names = [METRIC, f"{METRIC}_low", f"{METRIC}_high"]
        value, low, high = (runs.reindex(columns=names).to_numpy(dtype=float)).T
        dots(axes, row, value, low, high, colour)

    return dots_figure(domains, arms, curricula, draw)
