"""Documents sorted on disk, so that a corpus may be larger than memory.

Runs of a bounded size are sorted in memory and written down, and merged when they are read: an
external merge sort. One batch of each run is in memory at a time.
"""

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

RUN_BYTES, BATCH_BYTES = 32 << 20, 128 << 10
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("domain", "id", "corpus", "source")),
        ("place", pa.float64()),
        ("text", pa.string()),
    ]
)


class Spooled(NamedTuple):
    """A document on its way into the corpus; sorted by domain and id.

    `corpus` names where it came from, `place` (see `splitting.py`) decides its split.
    """

    domain: str
    id: str
    corpus: str
    source: str
    place: float
    text: str


class Spool:
    """Takes documents in any order and gives them back sorted; its files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[Spooled] = []
        self._bytes = 0
        self._runs: list[Path] = []

    def add(self, document: Spooled) -> None:
        """Take a document."""
        self._waiting.append(document)
        self._bytes += len(document.text)
        if self._bytes >= RUN_BYTES:
            self._write_run()

    def __iter__(self) -> Iterator[Spooled]:
        """All documents so far, sorted; may be read as often as needed."""
        self._write_run()
        yield from heapq.merge(*map(_read_run, self._runs))

    def _write_run(self) -> None:
        if not self._waiting:
            return
        path = self._folder / f"run-{len(self._runs):05}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_stream(sink, _SCHEMA, options=options) as writer,
        ):
            for rows in in_portions(sorted(self._waiting), BATCH_BYTES):
                columns = [list(column) for column in zip(*rows, strict=True)]
                arrays = [pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)]
                writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
        self._runs.append(path)
        self._waiting, self._bytes = [], 0


def in_portions(
    documents: Iterable[Spooled], size: int, rows: int = 1_000
) -> Iterator[list[Spooled]]:
    """The documents in lists that end at `size` characters of text or so many `rows`."""
    portion: list[Spooled] = []
    characters = 0
    for document in documents:
        portion.append(document)
        characters += len(document.text)
        if characters >= size or len(portion) == rows:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def _read_run(path: Path) -> Iterator[Spooled]:
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
        for batch in reader:
            columns = (column.to_pylist() for column in batch.columns)
            yield from map(Spooled._make, zip(*columns, strict=True))
