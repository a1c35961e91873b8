"""What a comparison may say, and how it says it."""

import math
from typing import Literal

Verdict = Literal["better", "worse", "cannot tell", "baseline"]


def verdict_of(difference: float, margin: float, *, lower_is_better: bool = True) -> Verdict:
    """`better` or `worse` if the interval difference +- margin leaves zero out.

    A margin of NaN is no interval, and no verdict.
    """
    if math.isnan(margin) or abs(difference) <= margin:
        return "cannot tell"
    return "better" if (difference < 0) == lower_is_better else "worse"


def optional(value: float) -> float | None:
    """`value`, or None in place of NaN (which has no JSON form)."""
    return None if math.isnan(value) else float(value)


def optional_int(value: float) -> int | None:
    """`value` as an integer, or None in place of NaN."""
    return None if math.isnan(value) else int(value)
