"""The tidy results table of a study: one row per run and metric, fixed columns, exact floats."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from curricle.core.errors import InputError

STAGES = ("band", "proxy", "sweep", "tuning", "confirm", "scoring", "target", "scale")
AVERAGE = "average"
POOLED = "all recipes"
DTYPES = {
    "stage": "str",
    "variant": "str",
    "recipe": "str",
    "curriculum": "str",
    "family": "str",
    "size": "str",
    "parameters": "int64",
    "learning_rate": "float64",
    "batch_size": "int64",
    "weight_decay": "float64",
    "schedule": "str",
    "seed": "int64",
    "tokens": "int64",
    "flops": "float64",  # a large study passes 2**63
    "metric": "str",
    "domain": "str",
    "value": "float64",
}
COLUMNS = tuple(DTYPES)
RUN_COLUMNS = (
    "stage",
    "variant",
    "recipe",
    "curriculum",
    "family",
    "size",
    "parameters",
    "learning_rate",
    "batch_size",
    "weight_decay",
    "schedule",
    "seed",
)
"""What tells one run of a study from another."""

_KEY = [name for name in COLUMNS if name != "value"]
_SUFFIXES = {"csv", "parquet", "json"}


def results_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of `rows`, which have a value for each of `COLUMNS`, in an order of its own.

    The same rows in any order give the same table, byte for byte. A `value` of None or NaN is a
    metric that was asked for and not obtained.

    Raises InputError for a missing or unknown column, an unknown stage, a cell of the wrong type,
    or two rows for the same run, metric and domain.
    """
    listed = list(rows)
    for row in listed:
        _check_columns(row)
    table = _typed(pd.DataFrame.from_records(listed, columns=list(COLUMNS)))
    table = table.sort_values(_KEY, kind="stable", ignore_index=True)
    _check_stages(table)
    _check_unique(table)
    return table


def add_average(table: pd.DataFrame, metric: str = "validation/loss") -> pd.DataFrame:
    """`table` with a row `domain = average` per run: the unweighted mean over its domains.

    Runs that have such a row keep theirs. A domain without a value leaves the mean without one.
    """
    rows = table[table["metric"] == metric]
    keys = [name for name in COLUMNS if name not in ("domain", "value")]
    have = rows.loc[rows["domain"] == AVERAGE, keys].apply(tuple, axis=1).tolist()
    domains = rows[rows["domain"] != AVERAGE].groupby(keys, dropna=False)["value"]
    new = domains.mean(skipna=False).reset_index().assign(domain=AVERAGE)
    new = new[~new[keys].apply(tuple, axis=1).isin(have)]
    return results_table([*_records(table), *_records(new)])


def ranking_table(
    table: pd.DataFrame,
    *,
    stage: str,
    learning_rate: float | None = None,
    metric: str = "validation/loss",
) -> pd.DataFrame:
    """The rows of one stage and metric as `curricle.analysis.ranking.rank` wants them.

    Columns recipe, seed, domain, value. Domain `average` is left out where a run has others.
    """
    rows = table[(table["stage"] == stage) & (table["metric"] == metric)]
    if learning_rate is not None:
        rows = rows[rows["learning_rate"] == learning_rate]
    return _domains(rows)[["recipe", "seed", "domain", "value"]].reset_index(drop=True)


def arms_table(
    table: pd.DataFrame, *, stage: str = "target", metric: str = "validation/loss"
) -> pd.DataFrame:
    """The rows of one stage and metric as `curricle.analysis.comparison.compare_arms` wants them.

    Columns arm (the curriculum), seed, domain, value. Domain `average` is left out where a run has
    others.
    """
    rows = _domains(table[(table["stage"] == stage) & (table["metric"] == metric)])
    rows = rows.rename(columns={"curriculum": "arm"})
    return rows[["arm", "seed", "domain", "value"]].reset_index(drop=True)


def to_csv(table: pd.DataFrame) -> str:
    """CSV with a header; floats in the shortest spelling that reads back to the same bits."""
    return table.to_csv(index=False, lineterminator="\n")


def to_json(table: pd.DataFrame) -> str:
    """A JSON list of row objects; floats as in the CSV, a missing value is null."""
    rows = [
        {key: None if pd.isna(cell) else cell for key, cell in row.items()}
        for row in _records(table)
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def write_results(table: pd.DataFrame, path: Path) -> None:
    """Write the table in the format that the suffix of `path` names: .csv, .parquet or .json."""
    match _format_of(path):
        case "parquet":
            table.to_parquet(path, index=False, compression="zstd")
        case "json":
            path.write_text(to_json(table), encoding="utf-8")
        case _:
            path.write_text(to_csv(table), encoding="utf-8")


def read_results(path: Path) -> pd.DataFrame:
    """What `write_results` wrote. Raises InputError for another suffix or foreign columns."""
    match _format_of(path):
        case "parquet":
            return results_table(_records(pd.read_parquet(path)))
        case "json":
            return results_table(json.loads(path.read_text(encoding="utf-8")))
        case _:
            with path.open(encoding="utf-8", newline="") as lines:
                return results_table(_from_text(row) for row in csv.DictReader(lines))


def _from_text(row: Mapping[str, str]) -> dict[str, Any]:
    """A CSV row; an empty cell is a missing number where a number belongs, else an empty name."""
    return {
        key: None if cell == "" and DTYPES.get(key) == "float64" else cell
        for key, cell in row.items()
    }


def _domains(rows: pd.DataFrame) -> pd.DataFrame:
    single = rows["domain"] != AVERAGE
    return rows[single] if bool(single.any()) else rows


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): cell for key, cell in row.items()} for row in table.to_dict("records")]


def _format_of(path: Path) -> str:
    suffix = path.suffix.removeprefix(".")
    if suffix not in _SUFFIXES:
        raise InputError(
            f"results file {path.name!r}",
            expected="a name that ends in .csv, .parquet or .json",
            fix="rename it",
        )
    return suffix


def _check_columns(row: Mapping[str, Any]) -> None:
    if set(row) != set(COLUMNS):
        missing, unknown = sorted(set(COLUMNS) - set(row)), sorted(set(row) - set(COLUMNS))
        raise InputError(
            f"a result with columns missing {missing} and unknown {unknown}",
            expected=f"exactly {', '.join(COLUMNS)}",
            fix="correct the columns",
        )


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    try:
        return table.astype(DTYPES)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"results that don't fit their columns ({error})",
            expected="whole numbers in parameters, batch_size, seed and tokens; numbers in "
            "learning_rate, weight_decay, flops and value",
            fix="correct the cell",
        ) from None


def _check_stages(table: pd.DataFrame) -> None:
    if unknown := sorted(set(table["stage"]) - set(STAGES)):
        raise InputError(
            f"stage {unknown[0]!r}", expected=f"one of {', '.join(STAGES)}", fix="correct the stage"
        )


def _check_unique(table: pd.DataFrame) -> None:
    repeated = table[table.duplicated(_KEY)]
    if len(repeated):
        row = repeated.iloc[0]
        raise InputError(
            f"two values of {row['metric']} ({row['domain']}) for recipe {row['recipe']!r}, "
            f"curriculum {row['curriculum']!r}, stage {row['stage']}, seed {row['seed']}",
            expected="one row per run and metric",
            fix="remove one of them",
        )
