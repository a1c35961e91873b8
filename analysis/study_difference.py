"""What differs between the results of two studies: every cell that both have, with an interval.

A cell is what shares everything but the seed: stage, recipe, curriculum, model, rate, schedule.
Seeds that both studies ran are compared in pairs, since they share initialisation and draws; where
there are fewer than two such seeds the two means are compared. The error variance is pooled over
the cells of one stage, model and rate (with three seeds a cell's own would have two degrees of
freedom), pairs and means apart. Intervals hold jointly over all cells (Bonferroni).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from curricle.analysis.observations import check_confidence
from curricle.analysis.results import AVERAGE, RUN_COLUMNS
from curricle.analysis.verdicts import Verdict, optional, verdict_of

Floats = npt.NDArray[np.float64]

CELL_COLUMNS = tuple(name for name in RUN_COLUMNS if name not in ("seed", "parameters"))
"""What tells one cell from another."""

_POOL_COLUMNS = tuple(name for name in CELL_COLUMNS if name not in ("recipe", "curriculum"))


@dataclass(frozen=True, kw_only=True)
class CellDifference:
    """One cell in both studies: the mean over domains of a metric, second minus first.

    `cell` has the values of `CELL_COLUMNS`. `paired` says whether seeds were compared in pairs;
    `seeds` counts the runs of either study that took part. No interval: too few runs to tell.
    `verdict` says what the second study is against the first; None where every pair is equal.
    """

    cell: tuple[str, ...]
    first_mean: float
    second_mean: float
    difference: float
    low: float | None
    high: float | None
    verdict: Verdict | None
    seeds: tuple[int, int]
    paired: bool

    def to_plain(self) -> dict[str, Any]:
        """JSON values, the cell by column."""
        return {**asdict(self), "cell": dict(zip(CELL_COLUMNS, self.cell, strict=True))}

    def to_row(self) -> dict[str, str]:
        """What a table shows of it, by column."""
        seeds = f"{self.seeds[0]} pairs" if self.paired else f"{self.seeds[0]} and {self.seeds[1]}"
        return {
            "cell": " ".join(self.cell),
            "first": f"{self.first_mean:.4f}",
            "second": f"{self.second_mean:.4f}",
            "difference": f"{self.difference:+.4f}",
            "joint interval": "" if self.low is None else f"{self.low:+.4f} to {self.high:+.4f}",
            "verdict": str(self.verdict),
            "seeds": seeds,
        }


@dataclass(frozen=True, kw_only=True)
class StudyDifference:
    """The cells that both studies have, and those that only one has."""

    metric: str
    confidence: float
    cells: tuple[CellDifference, ...]
    only_first: tuple[tuple[str, ...], ...]
    only_second: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Sample:
    """What a cell's difference is made of: squares about the mean, their number of freedoms.

    `scale` times the variance is the variance of the difference.
    """

    difference: float
    squares: float
    freedoms: int
    scale: float
    paired: bool
    first: Floats
    second: Floats


def compare_results(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    metric: str = "validation/loss",
    confidence: float = 0.95,
    lower_is_better: bool = True,
) -> StudyDifference:
    """Compare two results tables cell by cell; InputError for a confidence outside 0 to 1."""
    check_confidence(confidence)
    tables = [_cells(table, metric) for table in (first, second)]
    shared = [cell for cell in tables[0] if cell in tables[1]]
    samples = {cell: _sample(tables[0][cell], tables[1][cell]) for cell in shared}
    level = 1 - (1 - confidence) / max(len(shared), 1)
    return StudyDifference(
        metric=metric,
        confidence=confidence,
        cells=tuple(_differences(samples, level, lower_is_better)),
        only_first=tuple(cell for cell in tables[0] if cell not in tables[1]),
        only_second=tuple(cell for cell in tables[1] if cell not in tables[0]),
    )


def _cells(table: pd.DataFrame, metric: str) -> dict[tuple[str, ...], dict[int, float]]:
    """Each cell's means over domains by seed; runs without a value are left out."""
    rows = table[(table["metric"] == metric) & (table["domain"] != AVERAGE)]
    keys = [*CELL_COLUMNS, "seed"]
    groups = rows.groupby(keys, sort=True)["value"]
    means = groups.agg(total="sum", domains="size", values="count").reset_index()
    means = means[means["domains"] == means["values"]]
    cells: dict[tuple[str, ...], dict[int, float]] = {}
    columns = [means[name].tolist() for name in (*keys, "total", "domains")]
    for *cell, seed, total, domains in zip(*columns, strict=True):
        # Numbers in the shortest spelling: a rate of 2e-4 is one name, whoever computed it.
        name = tuple(f"{part:g}" if isinstance(part, float) else str(part) for part in cell)
        cells.setdefault(name, {})[seed] = total / domains
    return cells


def _sample(first: Mapping[int, float], second: Mapping[int, float]) -> _Sample:
    common = sorted(first.keys() & second.keys())
    if len(common) >= 2:
        a, b = (np.array([side[seed] for seed in common]) for side in (first, second))
        squares = _squares(b - a)
        return _Sample(float((b - a).mean()), squares, len(a) - 1, 1 / len(a), True, a, b)
    a, b = (np.array(list(side.values())) for side in (first, second))
    scale = 1 / len(a) + 1 / len(b)
    squares = _squares(a) + _squares(b)
    return _Sample(float(b.mean() - a.mean()), squares, len(a) + len(b) - 2, scale, False, a, b)


def _squares(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _differences(
    samples: dict[tuple[str, ...], _Sample], level: float, lower_is_better: bool
) -> Iterator[CellDifference]:
    for cell, sample in samples.items():
        pool = [
            other for name, other in samples.items() if _pool(name, other) == _pool(cell, sample)
        ]
        margin = _margin(sample, pool, level)
        same = sample.paired and np.array_equal(sample.first, sample.second)
        yield CellDifference(
            cell=cell,
            first_mean=float(sample.first.mean()),
            second_mean=float(sample.second.mean()),
            difference=sample.difference,
            low=optional(sample.difference - margin),
            high=optional(sample.difference + margin),
            verdict=(
                None
                if same
                else verdict_of(sample.difference, margin, lower_is_better=lower_is_better)
            ),
            seeds=(len(sample.first), len(sample.second)),
            paired=sample.paired,
        )


def _pool(cell: tuple[str, ...], sample: _Sample) -> tuple[str | bool, ...]:
    named = dict(zip(CELL_COLUMNS, cell, strict=True))
    return (*(named[column] for column in _POOL_COLUMNS), sample.paired)


def _margin(sample: _Sample, pool: Sequence[_Sample], level: float) -> float:
    """Half-width of the interval; NaN without a degree of freedom."""
    freedoms = sum(other.freedoms for other in pool)
    if not freedoms:
        return float("nan")
    variance = sum(other.squares for other in pool) / freedoms
    return float(student.ppf((1 + level) / 2, freedoms) * np.sqrt(variance * sample.scale))
