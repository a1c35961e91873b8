"""Documents sorted on disk, so that a corpus may be larger than memory.

Runs of a bounded size are sorted in memory and written down, wherever documents are read, and
merged when they are read back: an external merge sort. One batch of each run is in memory at a
time.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

# A run fits into memory several times over, and the runs merged at once keep a batch and a file
# open each.
RUN_BYTES, BATCH_BYTES, MOST_RUNS = 32 << 20, 128 << 10, 256
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("domain", "id", "corpus", "source")),
        ("place", pa.float64()),
        ("text", pa.string()),
        ("origin", pa.string()),
    ]
)


class Spooled(NamedTuple):
    """A document on its way into the corpus; sorted by domain and id.

    `corpus` names where it came from, `place` (see `splitting.py`) decides its split; `origin` is
    that of `Document`.
    """

    domain: str
    id: str
    corpus: str
    source: str
    place: float
    text: str
    origin: str = ""


class RunWriter:
    """Takes documents in any order and writes sorted runs named after `prefix`."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._waiting: list[Spooled] = []
        self._characters = 0
        self.runs: list[Path] = []

    def add(self, document: Spooled) -> None:
        """Take a document."""
        self._waiting.append(document)
        self._characters += len(document.text)
        if self._characters >= RUN_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write down what waits."""
        if self._waiting:
            path = self._prefix.with_name(f"{self._prefix.name}-{len(self.runs):05}.arrow")
            _write_run(path, sorted(self._waiting))
            self.runs.append(path)
            self._waiting, self._characters = [], 0


class Spool:
    """The documents of all runs, sorted; may be read as often as needed."""

    def __init__(self, runs: Sequence[Path]) -> None:
        self._runs = list(runs)

    def __iter__(self) -> Iterator[Spooled]:
        while len(self._runs) > MOST_RUNS:
            merged, rest = self._runs[:MOST_RUNS], self._runs[MOST_RUNS:]
            path = merged[0].with_name(f"merged-{merged[0].name}")
            _write_run(path, heapq.merge(*map(_read_run, merged)))
            for run in merged:
                run.unlink()
            self._runs = [*rest, path]
        yield from heapq.merge(*map(_read_run, self._runs))


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


def _write_run(path: Path, documents: Iterable[Spooled]) -> None:
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, _SCHEMA, options=options) as writer,
    ):
        for rows in in_portions(documents, BATCH_BYTES):
            columns = [list(column) for column in zip(*rows, strict=True)]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))


def _read_run(path: Path) -> Iterator[Spooled]:
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
        for batch in reader:
            columns = (column.to_pylist() for column in batch.columns)
            yield from map(Spooled._make, zip(*columns, strict=True))
