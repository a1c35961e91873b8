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
from curricle.recipes.engine import in_shards

# A batch is a row group of a stored table: as many rows, or fewer where they are long, since steps
# keep some batches in memory.
BATCH_ROWS, ROW_GROUP_BYTES = ROW_GROUP_ROWS, 64 << 20


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


@dataclass(frozen=True)
class Shard:
    """Rows of a document table that one task works on: row groups of a file, or a table in memory.

    Small enough to be sent to another process, which reads the file itself. `start` is the first
    row, `size` the bytes that the rows take in memory.
    """

    source: Path | pa.Table
    start: int
    rows: int
    size: int
    groups: range = range(0)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Batch]:
        """The documents in turn; all columns, or those named.

        Raises IntegrityError if the file isn't a document table.
        """
        start = self.start
        for table in self._tables(columns):
            yield Batch(table, start)
            start += table.num_rows

    def _tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        if isinstance(self.source, pa.Table):
            chosen = self.source if columns is None else self.source.select(list(columns))
            for start in range(0, chosen.num_rows, BATCH_ROWS):
                yield chosen.slice(start, BATCH_ROWS)
            return
        try:
            with _open(self.source) as file:
                # Of all row groups at once Arrow would read several ahead.
                for group in self.groups:
                    for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                        yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise IntegrityError(f"{self.source}: {error}") from None


class Documents:
    """A document table, stored or in memory, that is read as often as a step needs it."""

    def __init__(self, source: Path | pa.Table) -> None:
        self._source = source

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards())

    def shards(self) -> list[Shard]:
        """The whole table in parts, in turn. Raises IntegrityError if the file isn't one."""
        if isinstance(self._source, pa.Table):
            return [Shard(self._source, 0, self._source.num_rows, self._source.nbytes)]
        with _open(self._source) as file:
            groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
            rows = [group.num_rows for group in groups]
            sizes = [group.total_byte_size for group in groups]
        shards, start = [], 0
        for members in in_shards(sizes):
            count, size = (sum(each[members.start : members.stop]) for each in (rows, sizes))
            shards.append(Shard(self._source, start, count, size, members))
            start += count
        return shards

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Batch]:
        """The documents in turn, as the shards' batches."""
        for shard in self.shards():
            yield from shard.batches(columns)

    def column(self, name: str, rows: Indices | None = None) -> pa.ChunkedArray:
        """One column in memory, of all documents or of some, whose rows must be ascending."""
        chunks: list[pa.Array] = []
        for batch in self.batches([name]):
            column = batch.table[name]
            if rows is not None:
                first, last = np.searchsorted(rows, [batch.rows.start, batch.rows.stop])
                column = column.take(pa.array(rows[first:last] - batch.start))
            chunks += column.chunks
        return pa.chunked_array(chunks, type=self.schema.field(name).type)

    def codes(self, name: str, rows: Indices | None = None, *, descending: bool = False) -> Indices:
        """The rank of each document's value in a column, from 1 on, equal for equal values.

        Of all documents or of `rows`, as `column`. Strings are compared by their UTF-8 bytes; null
        ranks first in either direction.
        """
        values = self.column(name, rows)
        order = "descending" if descending else "ascending"
        ranks = pc.rank(values, sort_keys=order, tiebreaker="dense").to_numpy().astype(np.int64)
        ranks[values.is_null().to_numpy()] = 0
        return np.asarray(ranks)

    @property
    def schema(self) -> pa.Schema:
        """Column names and types."""
        if isinstance(self._source, pa.Table):
            return self._source.schema
        with _open(self._source) as file:
            return file.schema_arrow


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(f"{path}: {error}") from None
    if missing := [name for name in SCHEMA.names if name not in file.schema_arrow.names]:
        raise IntegrityError(f"{path}: no column {missing[0]}")
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
        while rows := self._full_group():
            # In one piece: where pages end depends on where the pieces of a table do.
            self._writer.write_table(self._waiting.slice(0, rows).combine_chunks())
            self._waiting = self._waiting.slice(rows)

    def _full_group(self) -> int:
        """Rows of the next row group; 0 if there are too few for one."""
        sizes = np.cumsum(pc.binary_length(self._waiting["text"]).to_numpy())
        rows = min(int(np.searchsorted(sizes, ROW_GROUP_BYTES)) + 1, ROW_GROUP_ROWS)
        return rows if rows <= len(sizes) else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and (self._waiting.num_rows or not self.rows):
            self._writer.write_table(self._waiting.combine_chunks())
        self._writer.close()
