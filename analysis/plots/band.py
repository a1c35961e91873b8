"""The figure about learning rates: loss, agreement and rounding over the rates that were tried."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curricle.analysis import formatting
from curricle.analysis.band import RateFacts, UsableBand
from curricle.analysis.plots import style

_HEIGHT = 150.0
_LEFT = 60.0
_RIGHT = 150.0

Fact = Callable[[RateFacts], float | None]


def band_figure(band: UsableBand) -> Figure:
    """Three panels over the learning rate, the usable band shaded, the bounds as lines.

    Held-out loss; Spearman correlation between seeds and with the next higher rate; the share of
    weights that an update leaves as they are, in fp32 and in bf16.
    """
    figure = style.new_figure(style.WIDTH, 3 * (_HEIGHT + 56) + 10)
    losses, agreements, still = (_panel(figure, place, band) for place in range(3))
    _line(losses, band, lambda item: item.loss, style.INK, "loss")
    style.title(losses, "Held-out loss, mean over recipes and seeds, in nats")
    _line(agreements, band, lambda item: item.seed_agreement, style.ACCENT, "between seeds")
    _line(agreements, band, lambda item: item.next_agreement, style.MUTED, "with the next rate")
    agreements.set_ylim(-1.05, 1.05)
    style.title(agreements, "Rank agreement (Spearman)")
    _line(still, band, lambda item: item.still_fp32, style.INK, "fp32")
    _line(still, band, lambda item: item.still_bf16, style.MUTED, "bf16")
    still.set_ylim(-0.05, 1.05)
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


def _line(axes: Axes, band: UsableBand, fact: Fact, colour: str, label: str) -> None:
    points = [(item.rate, value) for item in band.rates if (value := fact(item)) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=4, linewidth=1.4)
        style.write(axes, *points[-1], label, align="left", offset=8)
