"""Document tables read and written in batches, so that memory doesn't follow the corpus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curricle.core.errors import IntegrityError
from curricle.recipes.codepoints import Indices
from curricle.recipes.documents import ROW_GROUP_ROWS, SCHEMA

# A batch is a row group of a stored table.
BATCH_ROWS = ROW_GROUP_ROWS


@dataclass(frozen=True)
class Batch:
    """Some documents in turn; `start` is the row of the first in the whole table."""

    table: pa.Table
    start: int

    @property
    def rows(self) -> slice:
        """Where the batch stands in arrays over the whole table."""
        return slice(self.start, self.start + self.table.num_rows)

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return list(self.table["text"].to_pylist())

    @property
    def ids(self) -> list[str]:
        """The ids."""
        return list(self.table["id"].to_pylist())


class Documents:
    """A document table, stored or in memory, that is read as often as a step needs it."""

    def __init__(self, source: Path | pa.Table) -> None:
        self._source = source

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Batch]:
        """The documents in turn; all columns, or those named.

        Raises IntegrityError if the file isn't a document table.
        """
        start = 0
        for table in self._tables(columns):
            yield Batch(table, start)
            start += table.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        """One column in memory."""
        chunks = [chunk for batch in self.batches([name]) for chunk in batch.table[name].chunks]
        return pa.chunked_array(chunks, type=self.schema.field(name).type)

    def codes(self, name: str, *, descending: bool = False) -> Indices:
        """For each document the rank of its value in a column, from 1 on, equal for equal values.

        Strings are compared by their UTF-8 bytes; null ranks first in either direction.
        """
        values = self.column(name)
        order = "descending" if descending else "ascending"
        ranks = pc.rank(values, sort_keys=order, tiebreaker="dense").to_numpy().astype(np.int64)
        ranks[values.is_null().to_numpy()] = 0
        return np.asarray(ranks)

    @property
    def schema(self) -> pa.Schema:
        """Column names and types."""
        return (
            self._source.schema if isinstance(self._source, pa.Table) else self._file().schema_arrow
        )

    def _tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        if isinstance(self._source, pa.Table):
            chosen = self._source if columns is None else self._source.select(list(columns))
            for start in range(0, chosen.num_rows, BATCH_ROWS):
                yield chosen.slice(start, BATCH_ROWS)
            return
        try:
            file = self._file()
            # Of all row groups at once Arrow would read several ahead.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                    yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise IntegrityError(f"{self._source}: {error}") from None

    def _file(self) -> pq.ParquetFile:
        try:
            file = pq.ParquetFile(self._source)
        except (OSError, pa.ArrowException) as error:
            raise IntegrityError(f"{self._source}: {error}") from None
        if missing := [name for name in SCHEMA.names if name not in file.schema_arrow.names]:
            raise IntegrityError(f"{self._source}: no column {missing[0]}")
        return file


class DocumentWriter:
    """Writes a document table batch by batch; equal documents become equal bytes."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema
        self._waiting = schema.empty_table()
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Append documents; row groups are the same however they come in."""
        self.rows += table.num_rows
        self._waiting = pa.concat_tables([self._waiting, table.cast(self._schema)])
        while self._waiting.num_rows >= ROW_GROUP_ROWS:
            self._writer.write_table(self._waiting.slice(0, ROW_GROUP_ROWS))
            self._waiting = self._waiting.slice(ROW_GROUP_ROWS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and (self._waiting.num_rows or not self.rows):
            self._writer.write_table(self._waiting)
        self._writer.close()
