"""A number for each document out of a table that the study names, matched by document id."""

import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curricle.core.errors import InputError
from curricle.core.remote import remote_errors
from curricle.recipes.sources.file_formats import JSON_SUFFIXES, READ_ERRORS, read_objects
from curricle.recipes.sources.rows import readable
from curricle.recipes.sources.source_files import SourceFile, damaged, find_files
from curricle.recipes.specs.measurements import GivenScores

ID_COLUMNS = ("id", "document")
_SUFFIXES = (".parquet", *JSON_SUFFIXES)

Values = npt.NDArray[np.float64]


class Derived(NamedTuple):
    """A column that follows from others."""

    needs: tuple[str, ...]
    formula: Callable[..., Values]


class _Table(NamedTuple):
    """A file's ids and the columns that `formula` makes a score of."""

    ids: pa.ChunkedArray
    numbers: list[Values]
    formula: Callable[..., Values]


# Of the rows that `curricle evaluate perplexity` writes.
_DERIVED = {
    "perplexity": Derived(("nats", "tokens"), lambda nats, tokens: np.exp(nats / tokens)),
    "bits_per_byte": Derived(("nats", "bytes"), lambda nats, size: nats / size / np.log(2)),
}


def given_scores(spec: GivenScores, ids: pa.ChunkedArray) -> Values:
    """The scores of the documents `ids`, in their order; NaN for one that has none.

    In memory are the ids of both sides. Raises InputError for a table that can't be read or lacks
    a column, an id that it has twice and, unless `spec.missing` is "drop", a document without a
    number.
    """
    tables = [_read(file, spec) for file in table_files(spec.scores)]
    known = pa.chunked_array([chunk for names, _ in tables for chunk in names.chunks], pa.string())
    scores = np.concatenate([values for _, values in tables])
    _check_once(known, spec)
    places = pc.index_in(ids, value_set=known)
    found = np.where(places.is_null(), np.nan, scores[places.fill_null(0).to_numpy()])
    missing = np.flatnonzero(np.isnan(found))
    if len(missing) and spec.missing == "error":
        raise InputError(
            f"scores {spec.scores}: no {spec.column} for {len(missing)} of {len(found)} documents, "
            f"such as {ids[int(missing[0])].as_py()!r}",
            expected="a number for every document that the step sees",
            fix="score the same documents, or drop those without in a recipe's step: missing: drop",
        )
    return np.asarray(found, dtype=np.float64)


def table_files(path: str) -> list[SourceFile]:
    """The tables that `path` means. Raises InputError if there are none."""
    files = [file for file in find_files(path) if file.path.lower().endswith(_SUFFIXES)]
    if not files:
        raise InputError(
            f"scores {path}: no table in it",
            expected=f"files with a row for each document, ending in {', '.join(_SUFFIXES)}",
            fix="correct the path, or convert the table",
        )
    return files


def _read(file: SourceFile, spec: GivenScores) -> tuple[pa.ChunkedArray, Values]:
    """Ids and scores of one file; NaN where there is no finite number."""
    read = _read_parquet if file.path.lower().endswith(".parquet") else _read_json_lines
    try:
        with remote_errors():
            ids, numbers, formula = read(file, spec)
    except READ_ERRORS as error:
        raise damaged(file.address, 0, error) from None
    with np.errstate(all="ignore"):
        values = formula(*numbers)
    return ids, np.where(np.isfinite(values), values, np.nan)


def _read_parquet(file: SourceFile, spec: GivenScores) -> _Table:
    with file.open() as stream, pq.ParquetFile(stream) as parquet:
        names = parquet.schema_arrow.names
        key, column = _key(file, spec, names), _column(file, spec, names)
        table = parquet.read([key, *column.needs])
    numbers = [_numbers(file, table[name], name) for name in column.needs]
    return _Table(table[key].cast(pa.string()), numbers, column.formula)


def _read_json_lines(file: SourceFile, spec: GivenScores) -> _Table:
    """The columns are those of the first line; a line that lacks one has no number there."""
    rows = read_objects(file)
    first = next(rows, (0, {}))
    names = list(first[1])
    key, column = _key(file, spec, names), _column(file, spec, names)
    ids: list[str | None] = []
    numbers = [array("d") for _ in column.needs]
    for row, values in chain([first], rows):
        ids.append(readable(values.get(key)))
        for name, own in zip(column.needs, numbers, strict=True):
            own.append(_number(f"{file.address}, row {row}", name, values.get(name)))
    return _Table(
        pa.chunked_array([pa.array(ids, pa.string())]),
        [np.array(own) for own in numbers],
        column.formula,
    )


def _key(file: SourceFile, spec: GivenScores, names: Sequence[str]) -> str:
    wanted = (spec.id_column,) if spec.id_column else ID_COLUMNS
    found = [name for name in wanted if name in names]
    if not found:
        raise _no_column(file, " or ".join(map(repr, wanted)), names, "id_column")
    return found[0]


def _column(file: SourceFile, spec: GivenScores, names: Sequence[str]) -> Derived:
    if spec.column in names:
        return Derived((spec.column,), lambda values: values)
    derived = _DERIVED.get(spec.column)
    if derived is None or not set(derived.needs) <= set(names):
        raise _no_column(file, repr(spec.column), names, "column")
    return derived


def _no_column(file: SourceFile, name: str, names: Sequence[str], setting: str) -> InputError:
    return InputError(
        f"scores {file.address}: no column {name}",
        expected=f"one of its columns {', '.join(map(repr, names))}",
        fix=f"name one of them as {setting}",
    )


def _number(place: str, name: str, value: Any) -> float:
    if value is None:
        return np.nan
    if not isinstance(value, int | float):
        raise _no_numbers(place, name, type(value).__name__)
    return float(value) if abs(value) <= sys.float_info.max else np.nan


def _numbers(file: SourceFile, column: pa.ChunkedArray, name: str) -> Values:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise _no_numbers(file.address, name, str(kind))
    numbers = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(), dtype=np.float64)


def _no_numbers(place: str, name: str, kind: str) -> InputError:
    return InputError(
        f"scores {place}: column {name!r} is {kind}",
        expected="numbers",
        fix="name another column, or convert this one",
    )


def _check_once(known: pa.ChunkedArray, spec: GivenScores) -> None:
    if len(known) == pc.count_distinct(known, mode="all").as_py():
        return
    counts = pc.value_counts(known)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
    raise InputError(
        f"scores {spec.scores}: document {twice!r} stands there more than once",
        expected="one row for each document",
        fix="remove the other rows, or name another id_column",
    )
