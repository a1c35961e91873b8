"""Numbers as people read them; shared by findings, terminal summary, plots and report."""

import math
from collections.abc import Iterable

_SI = (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15), ("E", 1e18))


def decimals_for(scale: float | None, *, least: int = 1, most: int = 6) -> int:
    """Decimals that show two significant digits of `scale`."""
    if scale is None or not math.isfinite(scale) or scale <= 0:
        return 4
    return min(most, max(least, 1 - math.floor(math.log10(scale))))


def common_decimals(lows: Iterable[float | None], highs: Iterable[float | None]) -> int:
    """Decimals for a column of intervals: two significant digits of the median half-width.

    Of an even number the smaller middle one: a wide one of two leaves its digits to the other.
    """
    pairs = zip(lows, highs, strict=True)
    widths = sorted((high - low) / 2 for low, high in pairs if low is not None and high is not None)
    widths = [width for width in widths if width > 0]
    return decimals_for(widths[(len(widths) - 1) // 2] if widths else None)


def number(value: float | None, decimals: int) -> str:
    """`value` with fixed decimals, empty for None."""
    return "" if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def signed(value: float | None, decimals: int) -> str:
    """`value` with a sign; what rounds to zero has none."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text


def interval(low: float | None, high: float | None, decimals: int) -> str:
    """`low to high` with signs, empty without an interval."""
    if low is None or high is None:
        return ""
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def span(first: int, last: int, dash: str = "-") -> str:
    """`2-5`, or `2` for a span of one."""
    return str(first) if first == last else f"{first}{dash}{last}"


def percent(share: float | None) -> str:
    """A share as a whole percentage; neither 0 nor 100 unless it is."""
    if share is None or math.isnan(share):
        return ""
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")


def p_value(p: float | None) -> str:
    """A p-value with two significant digits, or `<0.001`."""
    if p is None or math.isnan(p):
        return ""
    return "<0.001" if p < 0.001 else f"{p:.2g}" if p < 0.995 else "1"


def quantity(value: float, unit: str = "") -> str:
    """`value` with three significant digits and an SI prefix: `3.14 T` + unit."""
    prefix, scale = next(
        ((name, size) for name, size in reversed(_SI) if abs(value) >= size * 0.9995), _SI[0]
    )
    shown = value / scale
    digits = 0 if abs(shown) >= 99.95 or not prefix else 1 if abs(shown) >= 9.995 else 2
    return f"{shown:.{digits}f} {prefix}{unit}".rstrip()


def flops(value: float) -> str:
    """FLOPs with an SI prefix."""
    return quantity(value, "FLOP")


def rate(learning_rate: float | None) -> str:
    """A learning rate as people write it: `3e-4`."""
    if learning_rate is None:
        return ""
    mantissa, exponent = f"{learning_rate:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def level(confidence: float) -> str:
    """A confidence level: `95 %`, or `99.2 %` if it isn't whole."""
    return f"{confidence * 100:.3g} %"


def counted(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Iterable[str], limit: int = 3) -> str:
    """`a, b and c`, or `a, b, c and 4 more`."""
    shown = list(names)
    if len(shown) > limit:
        return f"{', '.join(shown[:limit])} and {len(shown) - limit} more"
    return shown[0] if len(shown) == 1 else " and ".join([", ".join(shown[:-1]), shown[-1]])


def shift(
    difference: float, low: float | None, high: float | None, confidence: float, unit: str = "nats"
) -> str:
    """A difference in words: `0.012 nats lower (95 % interval 0.004 lower to 0.020 lower)`."""
    half = None if low is None or high is None else (high - low) / 2
    digits = decimals_for(half)
    text = f"{abs(difference):.{digits}f} {unit} {'lower' if difference < 0 else 'higher'}"
    if low is None or high is None:
        return f"{text} (no interval)"
    near, far = sorted((low, high), key=abs)
    if low < 0 < high:
        ends = f"{-low:.{digits}f} lower to {high:.{digits}f} higher"
    else:
        ends = f"{abs(near):.{digits}f} to {abs(far):.{digits}f}"
    return f"{text} ({level(confidence)} interval {ends})"
