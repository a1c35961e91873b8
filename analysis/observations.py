"""From a long table of runs to a matrix of values, with every way it can be wrong named."""

import numpy as np
import pandas as pd

from curricle.analysis.results import AVERAGE
from curricle.core.errors import InputError


def value_matrix(table: pd.DataFrame, rows: str) -> pd.DataFrame:
    """Values as `rows` (in order of appearance) x seeds; NaN where a run has no finite value.

    `table` has the columns `rows` (recipe, arm), seed, value and perhaps domain. With domains a run
    counts with its unweighted mean over them and has no value where a domain has none; a domain
    called `average` is left out if there are others.

    Raises InputError for a missing column, a value that isn't a number, or a repeated run.
    """
    check_columns(table, (rows, "seed", "value"))
    keys = [rows, "seed", *(["domain"] if "domain" in table.columns else [])]
    table = table.assign(value=finite(table["value"]))
    if "domain" in table.columns and bool((single := table["domain"] != AVERAGE).any()):
        table = table[single]
    _check_unique(table, keys)
    codes, labels = zip(*(pd.factorize(table[key], sort=key != rows) for key in keys), strict=True)
    cells = np.full([len(label) for label in labels], np.nan)
    cells[codes] = table["value"].to_numpy()
    means = cells.mean(axis=2) if "domain" in keys else cells
    return pd.DataFrame(means, index=labels[0], columns=labels[1])


def seed_agreement(matrix: pd.DataFrame) -> float | None:
    """Mean Spearman correlation over pairs of seeds (columns).

    None for fewer than three rows or two seeds with values.
    """
    if len(matrix) < 3:
        return None
    correlation = matrix.corr(method="spearman", min_periods=3).to_numpy()
    upper = correlation[np.triu_indices(len(correlation), 1)]
    return float(np.nanmean(upper)) if np.isfinite(upper).any() else None


def check_columns(table: pd.DataFrame, needed: tuple[str, ...]) -> None:
    """Raise InputError unless the table has all of `needed`."""
    if absent := [name for name in needed if name not in table.columns]:
        raise InputError(
            f"a table without {', '.join(absent)}",
            expected=f"columns {', '.join(needed)}",
            fix="add or rename columns",
        )


def check_confidence(confidence: float) -> None:
    """Raise InputError unless `confidence` lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(
            f"confidence {confidence}", expected="a number between 0 and 1", fix="take 0.95"
        )


def finite(values: "pd.Series[float]") -> "pd.Series[float]":
    """`values` as numbers, infinite ones as missing. Raises InputError for what is no number."""
    try:
        return values.astype(float).replace([np.inf, -np.inf], np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"column value: {error}", expected="numbers", fix="correct or empty the cell"
        ) from None


def _check_unique(table: pd.DataFrame, keys: list[str]) -> None:
    repeated = table[table.duplicated(keys)]
    if len(repeated):
        row = repeated.iloc[0]
        raise InputError(
            f"two values for {', '.join(f'{key} {row[key]!r}' for key in keys)}",
            expected="one value per run" + (" and domain" if "domain" in keys else ""),
            fix="remove one of them, or give the runs different seeds",
        )
