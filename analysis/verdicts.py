"""What a comparison may say, and how it says it."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Verdict = Literal["better", "worse", "cannot tell", "baseline"]


def verdict_of(difference: float, margin: float, *, lower_is_better: bool = True) -> Verdict:
    """`better` or `worse` if the interval difference +- margin leaves zero out.

    A margin of NaN is no interval, and no verdict.
    """
    if math.isnan(margin) or abs(difference) <= margin:
        return "cannot tell"
    return "better" if (difference < 0) == lower_is_better else "worse"


def verdicts_of(difference: Floats, margin: Floats) -> list[Verdict]:
    """`verdict_of` for many differences, lower being better."""
    sure = np.abs(difference) > margin
    sides: tuple[Verdict, ...] = ("cannot tell", "better", "worse")
    codes = np.where(sure, np.where(difference < 0, 1, 2), 0)
    return [sides[code] for code in codes.tolist()]


def optionals(values: Floats) -> list[float | None]:
    """`optional` for many values."""
    return [None if value != value else value for value in values.tolist()]


def optional(value: float) -> float | None:
    """`value`, or None in place of NaN (which has no JSON form)."""
    return None if math.isnan(value) else float(value)


def optional_int(value: float) -> int | None:
    """`value` as an integer, or None in place of NaN."""
    return None if math.isnan(value) else int(value)
