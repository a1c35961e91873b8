"""One restrained style: grey for most, blue for what matters, vermilion for worse and for controls.

The two colours stay apart for the common kinds of colour blindness, and neither is ever the only
sign. Figures are laid out in CSS pixels, so that they stand at their natural size in a page.
"""

import io
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1f2a33"
MUTED = "#6b7681"
FAINT = "#c3cbd2"
ACCENT = "#0b6aa3"
BAD = "#c8452e"
PAPER = "#ffffff"

WIDTH = 1000.0
"""Width of a figure that fills the page's column, in pixels."""
FONT = 9.5
SMALL = 8.5
CHARACTER = 7.0
"""Upper bound on the mean width of a character of size `FONT`, in pixels."""

VERDICT_COLOURS: Mapping[str, str] = {
    "better": ACCENT,
    "worse": BAD,
    "cannot tell": MUTED,
    "baseline": INK,
}

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    FAINT: "--faint",
    ACCENT: "--accent",
    BAD: "--bad",
    PAPER: "--paper",
}
_PIXELS_PER_INCH = 96
_RENDER_LOCK = threading.Lock()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many CSS pixels."""
    return Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH))


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in pixels from the figure's top left, with a bottom line alone."""
    total_width, total_height = figure.get_size_inches() * _PIXELS_PER_INCH
    bottom = total_height - top - height
    axes = figure.add_axes(
        (left / total_width, bottom / total_height, width / total_width, height / total_height)
    )
    axes.patch.set_alpha(0.0)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=MUTED, labelsize=SMALL, length=3, width=0.8)
    return axes


def rows(axes: Axes, labels: Sequence[str], colours: Sequence[str] | None = None) -> None:
    """Use the vertical axis for one labelled row per entry, the first on top."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), [plain(label) for label in labels], fontsize=FONT)
    axes.tick_params(axis="y", length=0, pad=6)
    for tick, colour in zip(axes.get_yticklabels(), colours or [INK] * len(labels), strict=True):
        tick.set_color(colour)


def title(axes: Axes, text: str, *, pad: float = 8) -> None:
    """A quiet heading, flush left."""
    axes.set_title(plain(text), fontsize=SMALL, color=MUTED, loc="left", pad=pad)


def label_width(labels: Sequence[str], least: float = 60) -> float:
    """Pixels that the longest of `labels` needs."""
    return max(least, CHARACTER * max(map(len, labels), default=0) + 14)


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    colour: str = INK,
    size: float = SMALL,
    align: Literal["left", "center", "right"] = "center",
    bold: bool = False,
    offset: float = 0.0,
) -> None:
    """Text at data coordinates, moved `offset` points to the right, vertically centred."""
    axes.annotate(
        plain(text),
        (x, y),
        xytext=(offset, 0),
        textcoords="offset points",
        annotation_clip=False,
        color=colour,
        fontsize=size,
        ha=align,
        va="center_baseline",
        fontweight="bold" if bold else "normal",
    )


def name_ends(
    axes: Axes, at: float, ends: Mapping[str, float], colours: Mapping[str, str], *, lines: int = 11
) -> None:
    """Names of curves right of `at`, where they end, pushed apart until they don't overlap.

    `lines` of text fit into the panel's height, whose limits have to be set before.
    """
    low, high = axes.get_ylim()
    place = low
    for name, end in sorted(ends.items(), key=lambda item: item[1]):
        place = max(end, place)
        write(axes, at, place, name, colour=colours[name], align="left", offset=6)
        place += (high - low) / lines


def plain(text: str) -> str:
    """`text` kept from being read as a formula: a name may hold dollar signs."""
    return text.replace("$", r"\$")


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element to stand in a page: the same bytes for the same figure.

    `name` makes its ids unique in the page. Text stays text, in the page's font; the style's
    colours become CSS variables with themselves as fallback, so that a dark page can change them.
    """
    buffer = io.StringIO()
    with _RENDER_LOCK, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>\s*", "", text, flags=re.DOTALL)  # would style the whole page
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    return text.strip()


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG on white, at twice its natural size."""
    buffer = io.BytesIO()
    with _RENDER_LOCK:
        figure.savefig(
            buffer, format="png", dpi=2 * _PIXELS_PER_INCH, facecolor="white", metadata=_PNG
        )
    return buffer.getvalue()


_METADATA = ("Date", "Creator", "Format", "Type")
_PNG: Mapping[str, str | None] = {"Software": None}
