"""One row of a file as it stands there, out of an Arrow batch or a line of JSON."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from curricle.core.errors import InputError


class Columns(NamedTuple):
    """Which columns hold what; None where the study names none."""

    text: str
    id: str | None
    source: str | None
    domain: str | None

    @property
    def named(self) -> list[str]:
        """The columns that have to exist."""
        return [name for name in self if name is not None]


class Row(NamedTuple):
    """One row: its number from 0 (None if the file is one row), and its values, None for null.

    Of these only `text` may be undecoded or hold lone surrogates.
    """

    number: int | None
    text: bytes | str | None
    id: str | None
    source: str | None
    domain: str | None


def check_schema(address: str, schema: pa.Schema, columns: Columns) -> None:
    """Raise InputError unless the columns are there and can be read as text."""
    for name in columns.named:
        if name not in schema.names:
            raise _missing_column(address, name, schema.names)
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or (name == columns.text and not _is_text(kind)):
            raise _not_text(f"{address}: column {name!r} is {kind}", name)


def batch_rows(batch: pa.RecordBatch, columns: Columns, first: int) -> Iterator[Row]:
    """The rows of a batch; `first` is the number of its first row."""
    texts = _as_bytes(batch.column(columns.text)).to_pylist()
    others = [
        [None] * len(batch) if name is None else _as_readable(batch.column(name))
        for name in (columns.id, columns.source, columns.domain)
    ]
    for number, values in enumerate(zip(texts, *others, strict=True), start=first):
        yield Row(number, *values)


def json_object(place: str, line: bytes) -> dict[str, Any]:
    """The object in a line of JSON. Raises InputError if it is none."""
    try:
        # Invalid UTF-8 turns into lone surrogates, which are counted like any others.
        values = json.loads(line.decode("utf-8-sig", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{place}: {error}",
            expected="one JSON object a line",
            fix="mend that line, or fetch the file again if it was cut off",
        ) from None
    if not isinstance(values, dict):
        raise InputError(
            f"{place}: {type(values).__name__}", expected="a JSON object", fix="mend that line"
        )
    return values


def json_row(address: str, number: int, values: dict[str, Any], columns: Columns) -> Row:
    """The row in an object of JSON. Raises InputError if it lacks a column."""
    place = f"{address}, row {number}"
    for name in columns.named:
        if name not in values:
            raise _missing_column(place, name, sorted(values))
    text = values[columns.text]
    if text is not None and not isinstance(text, str):
        raise _not_text(f"{place}: {columns.text!r} is {type(text).__name__}", columns.text)
    others = (
        None if name is None else readable(values[name])
        for name in (columns.id, columns.source, columns.domain)
    )
    return Row(number, text, *others)


def readable(value: Any) -> str | None:
    """A value of JSON as text that can be written down; None for null."""
    return None if value is None else str(value).encode(errors="replace").decode()


def _is_text(kind: pa.DataType) -> bool:
    """Strings, and what older writers store them as."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(plain) for test in (*tests, pa.types.is_binary, pa.types.is_large_binary))


def _as_bytes(column: pa.Array) -> pa.Array:
    """Undecoded, since one value with invalid UTF-8 must not stop the rest."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.binary_view())
    return column.cast(pa.large_binary())


def _as_readable(column: pa.Array) -> list[str | None]:
    if not _is_text(column.type):
        column = column.cast(pa.string())
    values = _as_bytes(column).to_pylist()
    return [None if value is None else value.decode(errors="replace") for value in values]


def _missing_column(place: str, name: str, known: list[str]) -> InputError:
    return InputError(
        f"{place}: no column {name!r}",
        expected=f"one of its columns {', '.join(map(repr, known)) or '(none)'}",
        fix="correct the column's name in the study",
    )


def _not_text(found: str, name: str) -> InputError:
    return InputError(found, expected="text", fix=f"name a column of strings instead of {name!r}")
