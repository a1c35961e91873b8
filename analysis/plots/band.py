"""The figure about learning rates: loss, agreement and rounding over the rates that were tried."""

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis import formatting
from curricle.analysis.band import RateFacts, UsableBand
from curricle.analysis.plots import style

_HEIGHT = 150.0
_LEFT = 60.0
_RIGHT = 150.0

# By name: what is drawn of each rate, and its colour.
Lines = Mapping[str, tuple[Callable[[RateFacts], float | None], str]]


def band_figure(band: UsableBand) -> Figure:
    """Three panels over the learning rate, the usable band shaded, the bounds as lines.

    Held-out loss; Spearman correlation between seeds and with the next higher rate; the share of
    weights that an update leaves as they are, in fp32 and in bf16.
    """
    figure = style.new_figure(style.WIDTH, 3 * (_HEIGHT + 56) + 10)
    losses, agreements, still = (_panel(figure, place, band) for place in range(3))
    _lines(losses, band, {"loss": (lambda item: item.loss, style.INK)})
    style.title(losses, "Held-out loss, mean over recipes and seeds, in nats")
    agreements.set_ylim(-1.05, 1.05)
    agreement: Lines = {
        "between seeds": (lambda item: item.seed_agreement, style.ACCENT),
        "with the next rate": (lambda item: item.next_agreement, style.MUTED),
    }
    _lines(agreements, band, agreement)
    style.title(agreements, "Rank agreement (Spearman)")
    still.set_ylim(-0.05, 1.05)
    rounding: Lines = {
        "fp32": (lambda item: item.still_fp32, style.INK),
        "bf16": (lambda item: item.still_bf16, style.MUTED),
    }
    _lines(still, band, rounding)
    style.title(still, "Share of weights that an update doesn't move")
    return figure


def _panel(figure: Figure, place: int, band: UsableBand) -> Axes:
    width = style.WIDTH - _LEFT - _RIGHT
    axes = style.panel(figure, _LEFT, 26 + place * (_HEIGHT + 56), width, _HEIGHT)
    axes.set_xscale("log")
    rates = [item.rate for item in band.rates]
    axes.set_xticks(rates, [formatting.rate(rate) for rate in rates])
    axes.minorticks_off()
    axes.set_xlim(rates[0] / 2, rates[-1] * 2)
    if band.low <= band.high:
        axes.axvspan(band.low, band.high, color=style.FAINT, alpha=0.35, lw=0, zorder=0)
    bounds = (band.curvature_bound, band.preconditioned_bound)
    for bound, dashes in zip(bounds, ("--", ":"), strict=True):
        if bound is not None and rates[0] / 2 <= bound <= rates[-1] * 2:
            axes.axvline(bound, color=style.BAD, linewidth=1, linestyle=dashes)
    if band.recommended is not None:
        axes.axvline(band.recommended, color=style.ACCENT, linewidth=1.2)
    return axes


def _lines(axes: Axes, band: UsableBand, lines: Lines) -> None:
    """Each fact over the rates that have it, named right of the panel at the height of its end."""
    ends = {}
    for name, (fact, colour) in lines.items():
        points = [(item.rate, value) for item in band.rates if (value := fact(item)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=4, linewidth=1.4)
            ends[name] = points[-1][1]
    colours = {name: colour for name, (_, colour) in lines.items()}
    style.name_ends(axes, band.rates[-1].rate, ends, colours)
