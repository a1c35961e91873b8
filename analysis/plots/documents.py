"""Figures about perplexity document by document."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis.documents import DocumentComparison
from curricle.analysis.plots import style
from curricle.analysis.plots.curricula import line_styles
from curricle.core.bootstrap import Interval

_LINE = 13.0
_GAP = 12.0


def documents_figure(comparisons: Sequence[DocumentComparison], curricula: Sequence[str]) -> Figure:
    """Bits per byte of each arm by domain, and its difference to the control, with intervals.

    One group of lines a domain, one line an arm. Left the arm's own interval over documents, right
    the one of the paired difference, coloured by verdict.
    """
    domains = list(dict.fromkeys(item.domain for item in comparisons))
    arms = list(dict.fromkeys(item.arm for item in comparisons))
    group = _LINE * len(arms) + _GAP
    names = style.label_width([f"{arm} " for arm in arms])
    left, height = style.label_width(domains), group * len(domains)
    middle = (style.WIDTH - left - names - 40) / 2
    figure = style.new_figure(style.WIDTH, height + 66)
    own = style.panel(figure, left, 26, middle, height)
    change = style.panel(figure, left + middle + 40, 26, middle, height)
    places = {
        (domain, arm): row * group + _LINE * (line + 0.5) + _GAP / 2
        for row, domain in enumerate(domains)
        for line, arm in enumerate(arms)
    }
    for axes in (own, change):
        axes.set_ylim(height, 0)
        axes.set_yticks([])
        for row in range(1, len(domains)):
            axes.axhline(row * group, color=style.FAINT, linewidth=0.6)
    own.set_yticks([(row + 0.5) * group for row in range(len(domains))], domains)
    own.tick_params(axis="y", length=0, pad=6, labelsize=style.FONT, labelcolor=style.INK)
    change.axvline(0, color=style.FAINT, linewidth=1, zorder=0)
    control = comparisons[0].control
    colours = {arm: colour for arm, (colour, _) in line_styles(arms, control, curricula).items()}
    for item in comparisons:
        place = places[item.domain, item.arm]
        _mark(own, place, item.value, colours[item.arm])
        if item.difference is not None:
            _mark(change, place, item.difference, style.VERDICT_COLOURS[item.verdict])
    edge = change.get_xlim()[1]
    for arm in arms:
        place = places[domains[0], arm]
        style.write(change, edge, place, arm, colour=colours[arm], align="left", offset=8)
    style.title(own, "Bits per byte; line: interval over documents")
    style.title(change, f"Minus {control}'s, paired by document; left is better")
    return figure


def _mark(axes: Axes, place: float, interval: Interval, colour: str) -> None:
    if interval.low is not None and interval.high is not None:
        ends = [interval.low, interval.high]
        axes.plot(ends, [place] * 2, color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([interval.value], [place], "o", color=colour, markersize=4.5)
