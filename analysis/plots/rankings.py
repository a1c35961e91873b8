"""Figures about recipes: a ranking with intervals, rankings side by side, domains, seeds."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis import formatting
from curricle.analysis.agreement import agreement_of
from curricle.analysis.measure import LOSS, Measure
from curricle.analysis.plots import style
from curricle.analysis.plots.cells import Cell, cells_figure
from curricle.analysis.ranked import RankedRecipe, Ranking

_ROW = 22.0


def ranking_figure(ranking: Ranking, measure: Measure = LOSS) -> Figure:
    """Means relative to the baseline with comparison intervals and the seeds behind them.

    Two recipes whose bars don't overlap differ; the band is the baseline's bar. Controls are
    hollow. Whatever lies far beyond the candidates stands at the edge, with its value.
    """
    items = ranking.recipes
    names = [_name(item) for item in items]
    left, width = style.label_width(names), style.WIDTH
    height = _ROW * len(items)
    figure = style.new_figure(width, height + 64)
    axes = style.panel(figure, left, 26, width - left - 70, height)
    colours = [style.INK if item.is_candidate else style.BAD for item in items]
    style.rows(axes, names, colours)
    base = ranking[ranking.baseline]
    low, high = _limits(ranking, base.mean)
    axes.set_xlim(low, high)
    axes.axvline(0, color=style.FAINT, linewidth=1, zorder=0)
    if base.low is not None and base.high is not None:
        axes.axvspan(
            base.low - base.mean,
            base.high - base.mean,
            color=style.FAINT,
            alpha=0.35,
            lw=0,
            zorder=0,
        )
    for row, item in enumerate(items):
        _mark(axes, row, item, base)
    shown = f"{measure.name} minus {base.recipe}'s{measure.in_unit}"
    style.title(axes, f"{shown}; {measure.better_side} is better")
    return figure


def rank_flow_figure(rankings: Mapping[str, Ranking]) -> Figure:
    """Ranks in two or three rankings, side by side; lines join the same recipe.

    Blue: the recipe takes part in a flip that both sides are sure of. Dark: in a flip of
    candidates that may be noise. Grey: keeps its order among the candidates.
    """
    labels, columns = list(rankings), [_slots(ranking, None) for ranking in rankings.values()]
    for index in range(1, len(columns)):
        if len(columns[index]) < len(columns[index - 1]) - 1:
            columns[index] = _slots(list(rankings.values())[index], columns[index - 1])
    rows = max(max(column.values()) for column in columns) + 1
    names = [name for column in columns for name in column]
    left = style.label_width(names) + 24
    width = 2 * left + 280 * (len(columns) - 1)
    figure = style.new_figure(width, _ROW * rows + 40)
    axes = style.panel(figure, left, 30, width - 2 * left, _ROW * rows)
    axes.set_axis_off()
    axes.set_xlim(0, len(columns) - 1)
    axes.set_ylim(rows - 0.5, -0.5)
    for index in range(len(columns) - 1):
        pair = [list(rankings.values())[index + side] for side in (0, 1)]
        _lines(axes, index, columns[index], columns[index + 1], _flip_colours(*pair))
    for index, (label, column) in enumerate(zip(labels, columns, strict=True)):
        axes.text(index, -1.0, label, fontsize=style.SMALL, color=style.MUTED, ha="center")
        after = columns[index + 1] if index + 1 < len(columns) else {}
        _column(axes, index, column, after, list(rankings.values())[index])
    return figure


def domains_figure(
    ranking: Ranking, domains: Mapping[str, Ranking], measure: Measure = LOSS
) -> Figure:
    """Difference to the baseline per recipe and domain, blue where better; bold where sure."""
    names = [item.recipe for item in ranking.recipes]
    columns = {"average": ranking, **domains}
    cells = {domain: _cells(one, measure) for domain, one in columns.items()}
    grid = [[cells[domain].get(name) for domain in columns] for name in names]
    scale = _typical([item.difference for one in columns.values() for item in one.candidates])
    labels = [_name(item) for item in ranking.recipes]
    title = f"{measure.name} minus {ranking.baseline}'s{measure.in_unit}; bold: sure"
    return cells_figure(labels, list(columns), grid, scale, title)


def seeds_figure(ranking: Ranking) -> Figure:
    """Spearman correlation of the candidates' losses between each two seeds."""
    table = pd.DataFrame(
        [[np.nan if v is None else v for v in item.seed_values] for item in ranking.candidates],
        columns=[f"seed {seed}" for seed in ranking.seeds],
    )
    correlation = table.corr(method="spearman", min_periods=3)
    grid: list[list[Cell | None]] = [
        [
            None if i == j or np.isnan(value) else Cell(value=-float(value), text=f"{value:.2f}")
            for j, value in enumerate(row)
        ]
        for i, row in enumerate(correlation.to_numpy())
    ]
    labels = [str(name) for name in correlation.columns]
    return cells_figure(labels, labels, grid, 1.0, "Spearman correlation between seeds")


def _name(item: RankedRecipe) -> str:
    return item.recipe if item.is_candidate else f"{item.recipe} (control)"


def _limits(ranking: Ranking, origin: float) -> tuple[float, float]:
    """The candidates' range with a margin; controls join if they don't double it."""
    ends = [_ends(item, origin) for item in ranking.candidates]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    span = max(high - low, 1e-12)
    for item in ranking.recipes:
        start, end = _ends(item, origin)
        if not item.is_candidate and start > low - span / 2 and end < high + span:
            low, high = min(low, start), max(high, end)
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _ends(item: RankedRecipe, origin: float) -> tuple[float, float]:
    low = item.mean if item.low is None else item.low
    high = item.mean if item.high is None else item.high
    return low - origin, high - origin


def _mark(axes: Axes, row: int, item: RankedRecipe, base: RankedRecipe) -> None:
    colour = style.VERDICT_COLOURS[item.verdict]
    low, high = _ends(item, base.mean)
    at = item.mean - base.mean
    first, last = axes.get_xlim()
    if not first <= at <= last:
        edge, marker = (last, ">") if at > last else (first, "<")
        axes.plot([edge], [row], marker=marker, color=colour, markersize=5, clip_on=False)
        digits = formatting.decimals_for((high - low) / 2)
        text = formatting.signed(at, digits)
        style.write(axes, edge, row, text, colour=colour, align="left", offset=6)
        return
    axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
    paired = zip(item.seed_values, base.seed_values, strict=True)
    dots = [one - other for one, other in paired if one is not None and other is not None]
    if item.verdict != "baseline":
        axes.plot(dots, [row + 0.27] * len(dots), "|", color=colour, markersize=4, alpha=0.8)
    face = colour if item.is_candidate else style.PAPER
    axes.plot([at], [row], marker="o", color=colour, markerfacecolor=face, markersize=6)


def _slots(ranking: Ranking, before: Mapping[str, int] | None) -> dict[str, int]:
    """Row of each recipe; a ranking of few recipes takes the rows that they had `before`."""
    names = [item.recipe for item in ranking.recipes]
    if before is None:
        return {name: row for row, name in enumerate(names)}
    free = sorted(before.get(name, len(before)) for name in names)
    return dict(zip(names, free, strict=True))


def _flip_colours(first: Ranking, second: Ranking) -> dict[str, str]:
    shared = [item for item in first.candidates if item.recipe in second]
    colours: dict[str, str] = {}
    if len(shared) < 2:
        return colours
    for flip in sorted(agreement_of(first, second).flips, key=lambda flip: flip.sure):
        for name in (flip.first, flip.second):
            colours[name] = style.ACCENT if flip.sure else colours.get(name, style.INK)
    return colours


def _lines(
    axes: Axes,
    index: int,
    before: Mapping[str, int],
    after: Mapping[str, int],
    colours: Mapping[str, str],
) -> None:
    for name in before:
        if name in after:
            colour = colours.get(name, style.FAINT)
            width = 1.8 if colour == style.ACCENT else 1.2
            axes.plot([index, index + 1], [before[name], after[name]], color=colour, lw=width)


def _column(
    axes: Axes,
    index: int,
    slots: Mapping[str, int],
    after: Mapping[str, int],
    ranking: Ranking,
) -> None:
    """Dots, named on the left of the first column and on the right wherever a line ends."""
    for name, row in slots.items():
        item = ranking[name]
        colour = style.INK if item.is_candidate else style.BAD
        axes.plot([index], [row], "o", color=colour, markersize=4, clip_on=False)
        if index == 0:
            text = f"{name}  {item.rank}"
            _name_at(axes, index, row, text, colour, "right")
        if name not in after:
            _name_at(axes, index, row, f"{item.rank}  {name}", colour, "left")


def _name_at(
    axes: Axes, x: float, row: int, text: str, colour: str, align: Literal["left", "right"]
) -> None:
    offset = 7 if align == "left" else -7
    style.write(axes, x, row, text, colour=colour, size=style.FONT, align=align, offset=offset)


def _cells(ranking: Ranking, measure: Measure) -> dict[str, Cell]:
    digits = formatting.common_decimals(
        [item.difference_low for item in ranking.recipes],
        [item.difference_high for item in ranking.recipes],
    )
    return {
        item.recipe: Cell(
            value=measure.sign * item.difference,
            text=formatting.signed(item.difference, digits) if item.difference else "0",
            bold=item.verdict in ("better", "worse"),
        )
        for item in ranking.recipes
    }


def _typical(values: Sequence[float]) -> float:
    """The size that gets the full colour: the 95th percentile of the candidates' differences."""
    return float(np.quantile(np.abs(values), 0.95)) if len(values) else 1.0
