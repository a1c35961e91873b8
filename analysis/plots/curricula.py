"""Figures about curricula: paired differences, domains, learning curves, learnability."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from curricle.analysis import formatting
from curricle.analysis.comparison import Comparison
from curricle.analysis.plots import style
from curricle.analysis.plots.cells import Cell, cells_figure

_ROW = 30.0
_DASHES = ("-", "--", ":", "-.")


def arms_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Differences with their simultaneous intervals; a tick per seed below, paired by seed."""
    labels = [f"{item.arm}  vs  {item.control}" for item in comparisons]
    left, width, height = style.label_width(labels), style.WIDTH, _ROW * len(labels)
    figure = style.new_figure(width, height + 64)
    axes = style.panel(figure, left, 26, width - left - 30, height)
    style.rows(axes, labels)
    axes.axvline(0, color=style.FAINT, linewidth=1, zorder=0)
    for row, item in enumerate(comparisons):
        _difference(axes, row, item)
    better = "left" if all(item.lower_is_better for item in comparisons) else "right"
    style.title(axes, f"Difference, paired by seed, nats; {better} is better")
    return figure


def arm_domains_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Differences per domain; bold where sure, jointly over all domains."""
    pairs = list(dict.fromkeys((item.arm, item.control) for item in comparisons))
    domains = list(dict.fromkeys(item.domain for item in comparisons))
    known = {(item.arm, item.control, item.domain): item for item in comparisons}
    digits = formatting.common_decimals(
        [item.low for item in comparisons], [item.high for item in comparisons]
    )
    grid = [[_cell(known.get((*pair, domain)), digits) for domain in domains] for pair in pairs]
    scale = max((abs(item.difference) for item in comparisons), default=1.0)
    labels = [f"{arm}  vs  {control}" for arm, control in pairs]
    return cells_figure(labels, domains, grid, scale, "Difference in nats; bold: sure")


def curves_figure(curves: pd.DataFrame, control: str, curricula: Sequence[str]) -> Figure:
    """Validation loss against tokens, and its difference to `control`, mean over seeds.

    `curves` has columns arm, seed, tokens, value. Curricula in question are blue, the rest grey.
    """
    table = curves.pivot_table(index="tokens", columns=["arm", "seed"], values="value")
    means = table.T.groupby(level="arm", sort=False).mean().T
    arms = [str(arm) for arm in means.columns]
    marks = line_styles(arms, control, curricula)
    label_width = style.label_width(arms)
    figure = style.new_figure(style.WIDTH, 290)
    tokens = means.index.to_numpy(dtype=float)
    loss = style.panel(figure, 46, 30, 340, 214)
    change = style.panel(figure, 462, 30, style.WIDTH - 462 - label_width, 214)
    for arm in arms:
        colour, dashes = marks[arm]
        loss.plot(tokens, means[arm], color=colour, linestyle=dashes, linewidth=1.6)
        if control in arms:
            gap = (means[arm] - means[control]).to_numpy()
            change.plot(tokens, gap, color=colour, linestyle=dashes, linewidth=1.6)
    for axes, text in ((loss, "Validation loss, nats"), (change, f"Minus {control}'s")):
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.spines["left"].set_visible(True)
        axes.spines["left"].set_color(style.FAINT)
        axes.set_xlabel("tokens", fontsize=style.SMALL, color=style.MUTED)
        style.title(axes, text)
    zero = control if control in arms else arms[0]
    ends = {arm: float(means[arm].iloc[-1] - means[zero].iloc[-1]) for arm in arms}
    colours = {arm: colour for arm, (colour, _) in marks.items()}
    style.name_ends(change, tokens[-1], ends, colours, lines=13)
    return figure


def score_figure(scores: pd.DataFrame, name: str) -> Figure:
    """Distribution of a score per domain (columns domain, score), on one scale; median marked."""
    groups = {str(name): rows["score"].to_numpy() for name, rows in scores.groupby("domain")}
    domains = sorted(groups, key=lambda name: -float(np.median(groups[name])))
    left, width, height = style.label_width(domains), style.WIDTH, 44.0 * len(domains)
    figure = style.new_figure(width, height + 60)
    axes = style.panel(figure, left, 30, width - left - 30, height)
    style.rows(axes, domains)
    low, high = np.quantile(scores["score"], [0.002, 0.998])
    edges = np.linspace(low, high, 81)
    centres = (edges[1:] + edges[:-1]) / 2
    for row, name in enumerate(domains):
        counts, _ = np.histogram(groups[name], edges)
        top = row + 0.42 - 0.84 * counts / max(counts.max(), 1)
        axes.fill_between(
            centres, row + 0.42, top, step="mid", color=style.ACCENT, alpha=0.35, lw=0
        )
        median = float(np.median(groups[name]))
        axes.plot([median] * 2, [row - 0.42, row + 0.42], color=style.ACCENT, linewidth=1.6)
    style.title(axes, f"{name} of the samples; line: median")
    return figure


def _difference(axes: Axes, row: int, item: Comparison) -> None:
    colour = style.VERDICT_COLOURS[item.verdict]
    if item.low is not None and item.high is not None:
        axes.plot([item.low, item.high], [row] * 2, color=colour, lw=2.2, solid_capstyle="butt")
    axes.plot([item.difference], [row], "o", color=colour, markersize=6)
    dots = [value for value in item.seed_differences if value is not None]
    axes.plot(dots, [row + 0.25] * len(dots), "|", color=colour, markersize=5, alpha=0.8)


def _cell(item: Comparison | None, digits: int) -> Cell | None:
    if item is None:
        return None
    sign = 1 if item.lower_is_better else -1
    sure = item.verdict != "cannot tell"
    text = formatting.signed(item.difference, digits)
    return Cell(value=sign * item.difference, text=text, bold=sure)


def line_styles(
    arms: Sequence[str], control: str, curricula: Sequence[str]
) -> Mapping[str, tuple[str, str]]:
    """Colour and dashes: the control solid and dark, curricula blue, other controls dashed grey."""
    others = [arm for arm in arms if arm != control and arm not in curricula]
    marks = {control: (style.INK, "-")}
    marks |= {arm: (style.ACCENT, _DASHES[i % 4]) for i, arm in enumerate(curricula)}
    return marks | {arm: (style.MUTED, _DASHES[1 + i % 3]) for i, arm in enumerate(others)}
