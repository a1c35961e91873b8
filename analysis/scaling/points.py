"""The points of a fit, out of a table: positive numbers or an error that names the row."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curricle.analysis.scaling.laws import Floats
from curricle.core.errors import InputError

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0
"""Training costs 6 N D FLOP: 2 in the forward pass, 4 in the backward pass."""

_FIRST_ROW = 2
"""The line on which a file's first row stands, below its heading."""


@dataclass(frozen=True)
class Points:
    """Columns of equal length N with finite, positive values: what a law depends on, and losses."""

    inputs: Mapping[str, Floats]
    loss: Floats

    @property
    def log_loss(self) -> Floats:
        """The natural logarithm of the losses."""
        return np.asarray(np.log(self.loss))

    def __len__(self) -> int:
        return len(self.loss)

    def without_highest(self, count: int) -> "Points":
        """Without the `count` highest losses. Raises InputError if that leaves nothing."""
        if count >= len(self):
            raise InputError(
                f"{count} of {len(self)} points to drop", expected="points left", fix="drop fewer"
            )
        kept = np.sort(np.argsort(self.loss, kind="stable")[: len(self) - count])
        return self.where(kept)

    def where(self, kept: np.ndarray) -> "Points":
        """The points of an index or a mask."""
        inputs = {name: values[kept] for name, values in self.inputs.items()}
        return Points(inputs, self.loss[kept])


def power_points(table: pd.DataFrame, x: str, y: str) -> Points:
    """Points (x, loss) from two columns. Raises InputError naming column or row."""
    return Points({"x": positive_column(table, x)}, positive_column(table, y))


def chinchilla_points(
    table: pd.DataFrame,
    parameters: str,
    loss: str,
    *,
    tokens: str | None = None,
    flops: str | None = None,
) -> Points:
    """Points (N, D, loss); D comes from the column `tokens`, or is `flops` / (6 N).

    Raises InputError for both or neither of these, and naming column or row.
    """
    if (tokens is None) == (flops is None):
        raise InputError(
            "both tokens and FLOP" if tokens else "neither tokens nor FLOP",
            expected="one of the two",
            fix="give --tokens or --flops",
        )
    size = positive_column(table, parameters)
    if flops is None:
        data = positive_column(table, str(tokens))
    else:
        data = positive_column(table, flops) / (FLOPS_PER_PARAMETER_AND_TOKEN * size)
    return Points({"parameters": size, "tokens": data}, positive_column(table, loss))


def positive_column(table: pd.DataFrame, name: str) -> Floats:
    """A column as finite positive floats. Raises InputError naming the column and the first row."""
    if name not in table.columns:
        raise InputError(
            f"no column {name!r}",
            expected=f"one of {', '.join(map(str, table.columns)) or 'some columns'}",
            fix="name the column that is meant",
        )
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if wrong.size:
        first = int(wrong[0])
        more = f" (and {wrong.size - 1} more rows)" if wrong.size > 1 else ""
        raise InputError(
            f"{table[name].iloc[first]!s} in column {name!r}, row {first + _FIRST_ROW}{more}",
            expected="a finite number above 0",
            fix="correct or remove the row",
        )
    return values


def check_enough(points: Points, law_parameters: int, sizes: Floats, fewest_sizes: int) -> None:
    """Raise InputError for no more points than parameters or fewer than `fewest_sizes` sizes."""
    if len(points) <= law_parameters:
        raise InputError(
            f"{len(points)} points",
            expected=f"more than the law's {law_parameters} parameters",
            fix="add runs, or fit a law with fewer parameters",
        )
    distinct = len(np.unique(sizes))
    if distinct < fewest_sizes:
        raise InputError(
            f"{'one size only' if distinct == 1 else f'{distinct} sizes only'}",
            expected=f"at least {fewest_sizes} different sizes",
            fix="add runs at other sizes",
        )
