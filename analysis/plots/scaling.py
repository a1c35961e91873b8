"""Figures about scaling laws: a law with its band, where it breaks, exponents per curriculum."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis.plots import style
from curricle.analysis.scaling.breaks import BreakFinding
from curricle.analysis.scaling.curricula import CurriculaFit
from curricle.analysis.scaling.curves import Curve
from curricle.analysis.scaling.progression import Recommendation

_HEIGHT = 250.0
_PANEL = 190.0
_ROW = 30.0
_DASHES = ("-", "--", ":", "-.")


def law_figure(curves: Mapping[str, Curve], x_label: str, control: str | None = None) -> Figure:
    """Laws over their points, each with its confidence band; `control` is dark, the others blue.

    Both axes are logarithmic.
    """
    width = style.label_width(list(curves))
    figure = style.new_figure(style.WIDTH, _HEIGHT + 76)
    axes = style.panel(figure, 60, 26, style.WIDTH - 60 - width, _HEIGHT)
    axes.set_xscale("log")
    axes.set_yscale("log")
    others = [name for name in curves if name != control]
    for name, curve in curves.items():
        dashes = "-" if name == control else _DASHES[others.index(name) % len(_DASHES)]
        _law(axes, curve, style.INK if name == control else style.ACCENT, dashes)
        style.write(axes, curve.x[-1], curve.loss[-1], name, align="left", offset=6)
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:.3g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.tick_params(axis="y", which="minor", colors=style.MUTED, labelsize=style.SMALL)
    axes.set_xlabel(style.plain(x_label), fontsize=style.SMALL, color=style.MUTED)
    style.title(axes, "Loss; line: fitted law with its 95 % band")
    return figure


def break_figure(finding: BreakFinding, x_label: str) -> Figure:
    """Where the bootstrap draws put the breaks, over the range of sizes that were run.

    Without a break the figure says so and shows the sizes alone.
    """
    sizes = np.unique(finding.points.inputs["x"])
    figure = style.new_figure(style.WIDTH, 190)
    axes = style.panel(figure, 30, 30, style.WIDTH - 60, 110)
    axes.set_xscale("log")
    axes.set_yticks([])
    edges = np.geomspace(sizes[0], sizes[-1], 61)
    places_BK = finding.places()
    for index in range(places_BK.shape[1]):
        counts, _ = np.histogram(places_BK[:, index], edges)
        share = counts / max(counts.max(), 1)
        axes.stairs(share, edges, fill=True, color=style.ACCENT, alpha=0.35)
        place = finding.parameters[f"break_{index + 1}"]
        axes.plot([place] * 2, [0, 1], color=style.ACCENT, linewidth=1.6)
    axes.plot(sizes, np.zeros(len(sizes)), "|", color=style.INK, markersize=9)
    axes.set_ylim(0, 1.1)
    axes.set_xlabel(style.plain(x_label), fontsize=style.SMALL, color=style.MUTED)
    style.title(axes, f"Draws of the break's place; ticks: sizes; {finding.verdict}")
    return figure


def exponents_figure(fit: CurriculaFit) -> Figure:
    """Every curriculum's exponent minus the control's, with simultaneous intervals."""
    found = [item for item in fit.exponents if item.curriculum != fit.control]
    labels = [item.curriculum for item in found]
    left, height = style.label_width(labels), _ROW * len(labels)
    figure = style.new_figure(style.WIDTH, height + 64)
    axes = style.panel(figure, left, 26, style.WIDTH - left - 30, height)
    style.rows(axes, labels)
    axes.axvline(0, color=style.FAINT, linewidth=1, zorder=0)
    for row, item in enumerate(found):
        colour = style.VERDICT_COLOURS[item.verdict]
        if item.difference_interval is not None:
            axes.plot(item.difference_interval, [row] * 2, color=colour, lw=2.2)
        axes.plot([item.difference], [row], "o", color=colour, markersize=6)
    floor = "one irreducible term" if fit.shared else "an irreducible term each"
    style.title(axes, f"Exponent minus {fit.control}'s; right falls faster; {floor}")
    return figure


def recommendation_figure(found: Sequence[Recommendation], control: str) -> Figure:
    """Every curriculum's expected difference to the control against size, with its interval.

    Sizes beyond those that were run are hollow.
    """
    names = [one.curriculum for one in found[0].others]
    width = style.label_width(names)
    figure = style.new_figure(style.WIDTH, _HEIGHT + 76)
    axes = style.panel(figure, 60, 26, style.WIDTH - 60 - width, _HEIGHT)
    axes.set_xscale("log")
    axes.axhline(0, color=style.INK, linewidth=1)
    sizes = np.array([one.parameters for one in found])
    inside = np.array([one.inside for one in found])
    for index, name in enumerate(names):
        lines = [one.others[index] for one in found]
        mean, low, high = (
            np.array([getattr(line, end) for line in lines]) for end in ("mean", "low", "high")
        )
        dashes = _DASHES[index % len(_DASHES)]
        axes.fill_between(sizes, low, high, color=style.ACCENT, alpha=0.12, lw=0)
        axes.plot(sizes, mean, color=style.ACCENT, linestyle=dashes, linewidth=1.6)
        axes.plot(sizes[inside], mean[inside], "o", color=style.ACCENT, markersize=4)
        axes.plot(sizes[~inside], mean[~inside], "o", color=style.ACCENT, mfc="white", markersize=5)
        style.write(axes, sizes[-1], mean[-1], name, align="left", offset=6)
    axes.set_xlabel("non-embedding parameters", fontsize=style.SMALL, color=style.MUTED)
    style.title(axes, f"Expected log ratio of the loss to {control}'s, with its interval")
    return figure


def dynamics_figure(along: pd.DataFrame, control: str) -> Figure:
    """Held-out loss of every domain along training, mean over seeds; `control` is dark.

    `along` has the columns curriculum, seed, tokens, domain, loss, of one size.
    """
    domains = list(dict.fromkeys(along["domain"]))
    names = list(dict.fromkeys(along["curriculum"]))
    others = [name for name in names if name != control]
    left, gap, columns = 40, 44, min(3, len(domains))
    width = (style.WIDTH - left - 20 - gap * (columns - 1)) / columns
    rows = -(-len(domains) // columns)
    figure = style.new_figure(style.WIDTH, rows * _PANEL + 44)
    for index, domain in enumerate(domains):
        column, row = index % columns, index // columns
        x, y = left + column * (width + gap), 26 + row * _PANEL
        axes = style.panel(figure, x, y, width, _PANEL - 70)
        axes.set_xscale("log")
        mine = along[along["domain"] == domain]
        for name in names:
            curve = mine[mine["curriculum"] == name].groupby("tokens")["loss"].mean()
            colour = style.INK if name == control else style.ACCENT
            dashes = "-" if name == control else _DASHES[others.index(name) % len(_DASHES)]
            axes.plot(curve.index, curve, color=colour, linestyle=dashes, lw=1.4, label=name)
        axes.tick_params(axis="x", which="minor", labelsize=0)
        style.title(axes, str(domain))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="lower left",
        ncols=len(names),
        fontsize=style.SMALL,
        frameon=False,
        handlelength=2.4,
    )
    return figure


def _law(axes: Axes, curve: Curve, colour: str, dashes: str) -> None:
    axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
    axes.plot(curve.x, curve.loss, color=colour, linestyle=dashes, linewidth=1.6)
    axes.plot(curve.points_x, curve.points_loss, "o", color=colour, markersize=3, alpha=0.6)
