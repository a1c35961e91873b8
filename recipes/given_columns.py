"""Columns of numbers that a user brings, joined to the documents by their ids."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from curricle.core.errors import InputError
from curricle.recipes.specs.scoring import GivenColumn

SHOWN_IDS = 3


def given_values(given: GivenColumn, documents: Sequence[str]) -> dict[str, float]:
    """The column's value of each of `documents`, by id.

    Raises InputError if the file can't be read, lacks a column, names a document twice, or has no
    number for one of `documents`.
    """
    table = _read(given)
    for name in (given.id_column, given.column):
        if name not in table.column_names:
            raise InputError(
                f"{given.path}: no column {name!r}",
                expected=f"one of {', '.join(table.column_names)}",
                fix="correct scoring.columns",
            )
    identifiers = table[given.id_column].cast(pa.string()).to_pylist()
    values = _numbers(given, table)
    found = dict(zip(identifiers, values, strict=True))
    _check(given, documents, identifiers, found)
    return {name: found[name] for name in documents}


def content_of_column(given: GivenColumn) -> str:
    """SHA-256 of the file. Raises InputError if there is none."""
    try:
        with Path(given.path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(given, error.strerror or str(error)) from None


def _read(given: GivenColumn) -> pa.Table:
    try:
        if given.path.endswith(".csv"):
            return pyarrow.csv.read_csv(given.path)
        return pq.read_table(given.path)
    except (OSError, pa.ArrowInvalid) as error:
        raise _unreadable(given, str(error).splitlines()[0]) from None


def _unreadable(given: GivenColumn, reason: str) -> InputError:
    return InputError(
        f"{given.path}: {reason}",
        expected="a Parquet or CSV file with a row per document",
        fix="correct scoring.columns",
    )


def _numbers(given: GivenColumn, table: pa.Table) -> list[float]:
    try:
        column = table[given.column].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _unreadable(given, f"column {given.column!r}: {error}") from None
    return [float("nan") if value is None else value for value in column.to_pylist()]


def _check(
    given: GivenColumn,
    documents: Sequence[str],
    identifiers: Sequence[str],
    found: dict[str, float],
) -> None:
    if len(found) < len(identifiers):
        raise InputError(
            f"{given.path}: {len(identifiers) - len(found)} ids more than once",
            expected="one row for each document",
            fix="remove the repeated rows",
        )
    missing = [name for name in documents if not np.isfinite(found.get(name, np.nan))]
    if missing:
        raise InputError(
            f"{given.path}: no number for {len(missing)} of {len(documents)} documents, such as "
            f"{', '.join(missing[:SHOWN_IDS])}",
            expected=f"a number in {given.column!r} for the id of each document",
            fix="score them as well, or drop them from the recipe",
        )
