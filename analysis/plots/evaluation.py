"""Figures about evaluation and cost: predicted letters, FLOPs by stage."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis import formatting
from curricle.analysis.costs import Costs
from curricle.analysis.multiple_choice import LetterReport
from curricle.analysis.plots import style

_PER_ROW = 4


def letters_figure(reports: Sequence[LetterReport]) -> Figure:
    """How often each arm answers with each letter, all seeds together.

    The dark lines are the right answers' shares, which is also what always giving that letter
    scores.
    """
    arms = list(dict.fromkeys(report.arm for report in reports))
    lines = -(-len(arms) // _PER_ROW)
    figure = style.new_figure(style.WIDTH, 190 * lines)
    for index, arm in enumerate(arms):
        left, top = 8 + 250 * (index % _PER_ROW), 30 + 190 * (index // _PER_ROW)
        axes = style.panel(figure, left, top, 214, 118)
        _letters(axes, [report for report in reports if report.arm == arm])
    return figure


def costs_figure(costs: Costs) -> Figure:
    """Training FLOPs as one bar, divided by stage; the target's share is blue."""
    figure = style.new_figure(style.WIDTH, 74)
    axes = style.panel(figure, 2, 26, style.WIDTH - 4, 26)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    start = 0.0
    for index, stage in enumerate(costs.stages):
        share = costs.share(stage.stage)
        target = stage.stage == "target"
        colour, alpha = (style.ACCENT, 0.75) if target else (style.MUTED, 0.25 + 0.15 * (index % 2))
        axes.barh(0, max(share - 0.002, 0.001), left=start, height=1, color=colour, alpha=alpha)
        if share > 0.07:
            text = f"{stage.stage}  {formatting.percent(share)}"
            axes.text(start, 0.62, text, fontsize=style.SMALL, color=style.INK, va="bottom")
        start += share
    axes.set_ylim(-0.5, 0.5)
    return figure


def _letters(axes: Axes, reports: Sequence[LetterReport]) -> None:
    letters = list(reports[0].gold)
    predicted = np.array([[report.predicted[x] for x in letters] for report in reports], float)
    share = predicted.sum(axis=0) / predicted.sum()
    axes.bar(range(len(letters)), share, width=0.7, color=style.MUTED, alpha=0.45)
    for place, letter in enumerate(letters):
        rate = reports[0].rates[letter]
        axes.plot([place - 0.42, place + 0.42], [rate, rate], color=style.INK, linewidth=1.6)
        text = formatting.percent(float(share[place]))
        style.write(axes, place, max(float(share[place]), rate) + 0.07, text, colour=style.MUTED)
    axes.set_ylim(0, max(0.6, float(share.max()) + 0.15))
    axes.set_yticks([])
    axes.set_xticks(range(len(letters)), letters, fontsize=style.SMALL)
    axes.tick_params(axis="x", length=0)
    mean = float(np.mean([report.accuracy for report in reports]))
    style.title(axes, f"{reports[0].arm}: {formatting.percent(mean)} right")
