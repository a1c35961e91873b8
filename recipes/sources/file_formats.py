"""Rows out of Parquet, JSON Lines and plain text files, streamed, with errors that name the row.

A row's text is handed over as it stands in the file, undecoded where it may not be UTF-8: what is
wrong with single documents is the caller's to count, what is wrong with a file is raised here.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import InputError

PARQUET_BATCH_ROWS = 1_000


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


Reader = Callable[[Path, Columns], Iterator[Row]]


def reader_of(path: Path) -> Reader | None:
    """The reader for this file name, or None if its format isn't known."""
    name = path.name.lower()
    for suffixes, reader in _READERS:
        if name.endswith(suffixes):
            return reader
    return None


def read_parquet(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of a Parquet file. Raises InputError for a damaged file or missing or wrong columns."""
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_schema(path, file.schema_arrow, columns)
            for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=columns.named):
                yield from _batch_rows(batch, columns, number)
                number += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, number, error) from None


def read_json_lines(path: Path, columns: Columns) -> Iterator[Row]:
    """Rows of a `.jsonl` or `.jsonl.gz` file, empty lines skipped.

    Raises InputError for a damaged file, a line that is no JSON object, and columns that are
    missing or no strings.
    """
    number = -1
    try:
        with _open(path) as stream:
            for number, line in enumerate(stream):
                if line.strip():
                    yield _json_row(path, number, line, columns)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, number + 1, error) from None


def read_text(path: Path, columns: Columns) -> Iterator[Row]:  # noqa: ARG001
    """The whole file as one row."""
    try:
        yield Row(None, path.read_bytes().removeprefix(b"\xef\xbb\xbf"), None, None, None)
    except OSError as error:
        raise damaged(path, 0, error) from None


_READERS: Sequence[tuple[tuple[str, ...], Reader]] = (
    ((".parquet",), read_parquet),
    ((".jsonl", ".jsonl.gz"), read_json_lines),
    ((".txt", ".md"), read_text),
)
KNOWN_SUFFIXES = tuple(suffix for suffixes, _ in _READERS for suffix in suffixes)


def _check_schema(path: Path, schema: pa.Schema, columns: Columns) -> None:
    for name in columns.named:
        if name not in schema.names:
            raise _missing_column(str(path), name, schema.names)
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or (name == columns.text and not _is_string(kind)):
            raise _not_text(f"{path}: column {name!r} is {kind}", name)


def _is_string(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


def _batch_rows(batch: pa.RecordBatch, columns: Columns, first: int) -> Iterator[Row]:
    texts = _as_bytes(batch.column(columns.text)).to_pylist()
    others = [
        [None] * len(batch) if name is None else _as_readable(batch.column(name))
        for name in (columns.id, columns.source, columns.domain)
    ]
    for number, values in enumerate(zip(texts, *others, strict=True), start=first):
        yield Row(number, *values)


def _as_bytes(column: pa.Array) -> pa.Array:
    """Undecoded, since one value with invalid UTF-8 must not stop the rest."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.large_binary())


def _as_readable(column: pa.Array) -> list[str | None]:
    if not _is_string(column.type):
        column = column.cast(pa.string())
    values = _as_bytes(column).to_pylist()
    return [None if value is None else value.decode(errors="replace") for value in values]


def _open(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def _json_row(path: Path, number: int, line: bytes, columns: Columns) -> Row:
    place = f"{path}, row {number}"
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
    for name in columns.named:
        if name not in values:
            raise _missing_column(place, name, sorted(values))
    text = values[columns.text]
    if text is not None and not isinstance(text, str):
        raise _not_text(f"{place}: {columns.text!r} is {type(text).__name__}", columns.text)
    others = (_readable(values, name) for name in (columns.id, columns.source, columns.domain))
    return Row(number, text, *others)


def _readable(values: dict[str, Any], name: str | None) -> str | None:
    value = None if name is None else values[name]
    return None if value is None else str(value).encode(errors="replace").decode()


def damaged(path: Path, number: int, error: Exception) -> InputError:
    """The error for a file that can't be read from row `number` on."""
    return InputError(
        f"{path}: can't be read from row {number} on ({error})",
        expected="a complete, readable file",
        fix="fetch or write it again, or take it out of the corpus",
    )


def _missing_column(place: str, name: str, known: list[str]) -> InputError:
    return InputError(
        f"{place}: no column {name!r}",
        expected=f"one of its columns {', '.join(map(repr, known)) or '(none)'}",
        fix="correct the column's name in the study",
    )


def _not_text(found: str, name: str) -> InputError:
    return InputError(found, expected="text", fix=f"name a column of strings instead of {name!r}")
