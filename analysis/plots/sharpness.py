"""Figures about sharpness: each measure by arm, and along the run."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from curricle.analysis.plots import style
from curricle.analysis.plots.curricula import line_styles
from curricle.analysis.plots.dots import dots, dots_figure

Floats = npt.NDArray[np.float64]

PANELS: Mapping[str, tuple[str, ...]] = {
    "Ends of the spectrum": ("largest_eigenvalue", "smallest_eigenvalue"),
    "Ends, dense layers": ("dense_largest_eigenvalue", "dense_smallest_eigenvalue"),
    "Trace": ("trace",),
    "SAM": ("sam",),
    "Adaptive SAM": ("adaptive_sam",),
    "Critical": ("critical",),
}


def sharpness_figure(rows: pd.DataFrame, arms: Sequence[str], curricula: Sequence[str]) -> Figure:
    """Each measure at the end of training: a dot per seed, a line at their mean, a row per arm.

    `rows` are the results' rows whose metric begins with `sharpness/`. Where an eigenvalue's bound
    or the trace's standard error is known, a thin line shows it around the dot. The first of `arms`
    is the control.
    """
    table = _at_the_end(rows)
    panels = {name: wanted for name, wanted in PANELS.items() if set(wanted) & set(table.columns)}

    def draw(axes: Axes, panel: str, arm: str, row: int, colour: str) -> None:
        runs = table.loc[table.index.get_level_values(0) == arm]
        for metric in set(panels[panel]) & set(table.columns):
            values = runs[metric].to_numpy(dtype=float)
            errors = _errors(runs, metric, values)
            dots(axes, row, values, values - errors, values + errors, colour)

    return dots_figure(list(panels), arms, curricula, draw)


def sharpness_curves_figure(
    rows: pd.DataFrame, arms: Sequence[str], curricula: Sequence[str]
) -> Figure:
    """The largest eigenvalue, and adaptive SAM, against tokens: mean over seeds, a line per arm."""
    figure = style.new_figure(style.WIDTH, 240)
    width = (style.WIDTH - style.label_width(arms)) / 2 - 60
    marks = line_styles(arms, arms[0], curricula)
    shown = {"largest_eigenvalue": "Largest eigenvalue", "adaptive_sam": "Adaptive SAM"}
    for index, (metric, name) in enumerate(shown.items()):
        chosen = rows[rows["metric"] == f"sharpness/{metric}"]
        means = chosen.pivot_table(index="tokens", columns="curriculum", values="value")
        axes = style.panel(figure, 46 + (width + 62) * index, 30, width, 160)
        for arm in means.columns:
            colour, dashes = marks[arm]
            axes.plot(means.index, means[arm], "o", color=colour, markersize=3.5)
            axes.plot(means.index, means[arm], linestyle=dashes, color=colour, linewidth=1.4)
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.set_xlabel("tokens", fontsize=style.SMALL, color=style.MUTED)
        style.title(axes, name)
        if index:
            ends = {str(arm): float(end) for arm, end in means.iloc[-1].items()}
            colours = {arm: colour for arm, (colour, _) in marks.items()}
            style.name_ends(axes, float(means.index[-1]), ends, colours)
    return figure


def _at_the_end(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per (arm, seed), a column per measure without its prefix, at the last tokens."""
    last = rows[rows["tokens"] == rows["tokens"].max()]
    named = last.assign(metric=last["metric"].str.removeprefix("sharpness/"))
    return pd.pivot_table(named, index=["curriculum", "seed"], columns="metric", values="value")


def _errors(runs: pd.DataFrame, metric: str, values: Floats) -> Floats:
    residual = metric.replace("eigenvalue", "residual")
    errors: Floats = np.zeros_like(values)
    if metric == "trace" and "trace_error" in runs.columns:
        errors = runs["trace_error"].to_numpy(dtype=float)
    elif residual != metric and residual in runs.columns:
        errors = np.abs(values) * runs[residual].to_numpy(dtype=float)
    return errors
