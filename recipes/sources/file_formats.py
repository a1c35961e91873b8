"""Rows out of Parquet, Arrow, JSON Lines and text files, streamed, with errors that name the row.

A row's text is handed over as it stands in the file, undecoded where it may not be UTF-8: what is
wrong with single documents is the caller's to count, what is wrong with a file is raised here.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.remote import remote_errors
from curricle.recipes.sources.rows import (
    Columns,
    Row,
    batch_rows,
    check_schema,
    json_object,
    json_row,
)
from curricle.recipes.sources.source_files import SourceFile, damaged

# Rows are decoded in batches of about this much text, and never more than so many rows.
BATCH_BYTES, BATCH_ROWS = 16 << 20, 1_000
LINE_BUFFER = 1 << 20
JSON_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst")
# What reading a file that is gone, cut off or damaged may raise.
READ_ERRORS = (OSError, EOFError, zlib.error, pa.ArrowException)
_END_OF_ARROW_STREAM = b"\xff\xff\xff\xff\0\0\0\0"

Reader = Callable[[SourceFile, Columns], Iterator[Row]]


def is_known(file: SourceFile) -> bool:
    """Whether the file's name says that it is of a format read here."""
    return _reader_of(file) is not None


def read_rows(file: SourceFile, columns: Columns) -> Iterator[Row]:
    """All rows of a file of a known format.

    Raises InputError for a file that is gone or damaged, for missing or wrong columns, and for a
    line that is no JSON object.
    """
    reader = _reader_of(file)
    assert reader is not None, file
    number = 0
    try:
        with remote_errors():
            for row in reader(file, columns):
                yield row
                number = (row.number or 0) + 1
    except READ_ERRORS as error:
        raise damaged(file.address, number, error) from None


def read_objects(file: SourceFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON Lines, which may be compressed, with their lines' numbers.

    Raises InputError for a line that is no JSON object, and any of READ_ERRORS.
    """
    with file.open() as stream:
        for number, line in enumerate(_decompressed(file, stream)):
            if line.strip():
                yield number, json_object(f"{file.address}, row {number}", line)


def _reader_of(file: SourceFile) -> Reader | None:
    name = file.path.lower()
    return next((reader for suffixes, reader in _READERS if name.endswith(suffixes)), None)


def _read_parquet(file: SourceFile, columns: Columns) -> Iterator[Row]:
    number = 0
    with file.open() as stream, pq.ParquetFile(stream) as parquet:
        check_schema(file.address, parquet.schema_arrow, columns)
        for group in range(parquet.num_row_groups):
            described = parquet.metadata.row_group(group)
            rows = BATCH_BYTES * described.num_rows // max(described.total_byte_size, 1)
            rows = min(max(rows, 1), BATCH_ROWS)
            for batch in parquet.iter_batches(rows, row_groups=[group], columns=columns.named):
                yield from batch_rows(batch, columns, number)
                number += len(batch)


def _read_arrow(file: SourceFile, columns: Columns) -> Iterator[Row]:
    number = 0
    with file.open() as stream:
        # Arrow takes a stream that was cut between two batches for a whole one.
        stream.seek(-len(_END_OF_ARROW_STREAM), io.SEEK_END)
        if stream.read() != _END_OF_ARROW_STREAM:
            raise EOFError("cut off: no end of the Arrow stream")
        stream.seek(0)
        with pa.ipc.open_stream(stream) as arrow:
            check_schema(file.address, arrow.schema, columns)
            for batch in arrow:
                yield from batch_rows(batch.select(columns.named), columns, number)
                number += len(batch)


def _read_json_lines(file: SourceFile, columns: Columns) -> Iterator[Row]:
    for number, values in read_objects(file):
        yield json_row(file.address, number, values, columns)


def _decompressed(file: SourceFile, stream: io.BufferedIOBase) -> io.BufferedIOBase:
    name = file.path.lower()
    buffered = io.BufferedReader(cast("io.RawIOBase", stream), LINE_BUFFER)
    if not name.endswith((".gz", ".zst")):
        return buffered
    # The libraries take an empty file for a whole one without content.
    if not buffered.peek(1):
        raise EOFError("empty, where there should be compressed content")
    if name.endswith(".gz"):
        return gzip.GzipFile(fileobj=buffered)
    unpacked = pa.CompressedInputStream(pa.PythonFile(buffered, "r"), "zstd")
    return io.BufferedReader(unpacked, LINE_BUFFER)


def _read_text(file: SourceFile, columns: Columns) -> Iterator[Row]:
    del columns
    with file.open() as stream:
        yield Row(None, stream.read().removeprefix(b"\xef\xbb\xbf"), None, None, None)


_READERS: Sequence[tuple[tuple[str, ...], Reader]] = (
    ((".parquet",), _read_parquet),
    ((".arrow",), _read_arrow),
    (JSON_SUFFIXES, _read_json_lines),
    ((".txt", ".md"), _read_text),
)
KNOWN_SUFFIXES = tuple(suffix for suffixes, _ in _READERS for suffix in suffixes)
