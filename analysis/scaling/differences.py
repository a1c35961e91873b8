"""Curricula against the static mix, paired by size and seed.

Sizes are the units: what a curriculum does to one size needn't be what it does to another, and
seeds of a size, averaged first, say nothing about that. Intervals over sizes are Student's, joint
over the curricula (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from curricle.analysis.scaling.fitting import CONFIDENCE
from curricle.analysis.scaling.laws import Floats
from curricle.analysis.verdicts import Verdict, optional, verdict_of

KEYS = ["parameters", "seed"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A curriculum minus the control: mean over sizes, ends of its interval, verdict.

    `sizes` and `by_size` (mean over seeds) are what it rests on. The ends are None with one size.
    """

    curriculum: str
    mean: float
    low: float | None
    high: float | None
    verdict: Verdict
    sizes: tuple[float, ...]
    by_size: tuple[float, ...]


def paired(table: pd.DataFrame, value: str, control: str) -> pd.DataFrame:
    """Columns curriculum, parameters, seed, difference: each run minus the control's like it.

    `table` has one row per curriculum, size and seed. Rows without a control are left out.
    """
    base = table[table["curriculum"] == control].set_index(KEYS)[value]
    rest = table[table["curriculum"] != control]
    index = pd.MultiIndex.from_frame(rest[KEYS])
    difference = rest[value].to_numpy() - base.reindex(index).to_numpy()
    found = rest[["curriculum", *KEYS]].assign(difference=difference)
    return found.dropna(subset=["difference"]).reset_index(drop=True)


def differences(
    table: pd.DataFrame,
    value: str,
    control: str,
    *,
    lower_is_better: bool = True,
    confidence: float = CONFIDENCE,
) -> tuple[Difference, ...]:
    """Each curriculum against the control, over all sizes."""
    rows = paired(table, value, control)
    names = [name for name in dict.fromkeys(table["curriculum"]) if name != control]
    joint = 1 - (1 - confidence) / max(1, len(names))
    return tuple(
        _difference(name, rows[rows["curriculum"] == name], joint, lower_is_better=lower_is_better)
        for name in names
        if (rows["curriculum"] == name).any()
    )


def mean_interval(values: Sequence[float] | Floats, confidence: float) -> tuple[float, float]:
    """Mean and half the width of Student's interval; NaN for a single value."""
    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        return float(sample.mean()), float("nan")
    critical = float(student.ppf((1 + confidence) / 2, len(sample) - 1))
    return float(sample.mean()), critical * float(sample.std(ddof=1)) / np.sqrt(len(sample))


def _difference(
    name: str, rows: pd.DataFrame, confidence: float, *, lower_is_better: bool
) -> Difference:
    by_size = rows.groupby("parameters")["difference"].mean()
    mean, margin = mean_interval(by_size.to_numpy(), confidence)
    return Difference(
        curriculum=name,
        mean=mean,
        low=optional(mean - margin),
        high=optional(mean + margin),
        verdict=verdict_of(mean, margin, lower_is_better=lower_is_better),
        sizes=tuple(map(float, by_size.index)),
        by_size=tuple(map(float, by_size)),
    )
