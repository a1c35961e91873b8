"""The document table, and the accounting of what leaves it: kept + dropped = seen.

A document table is a `pyarrow.Table` with the four columns of `SCHEMA`; one row is one document.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import IntegrityError

SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("id", "text", "domain", "source")]
)
ROW_GROUP_ROWS = 2_000

DropCounts = dict[str, dict[str, int]]


class Document(NamedTuple):
    """One document. `group` decides the split: documents of one group stay on one side.

    `origin` says where it was read (file and row) where `source` says something else.
    """

    id: str
    text: str
    domain: str
    source: str
    group: str
    origin: str = ""


class Drops:
    """Counts of dropped documents by reason and domain."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, reason: str, domain: str, count: int = 1) -> None:
        """Count `count` documents of `domain` as dropped for `reason`."""
        self._counts[reason, domain] += count

    def update(self, other: "Drops") -> None:
        """Count what another counted as well."""
        self._counts.update(other._counts)

    @property
    def total(self) -> int:
        """All dropped documents."""
        return self._counts.total()

    def to_plain(self) -> DropCounts:
        """`{reason: {domain: documents}}`, sorted, for manifests and records."""
        plain: DropCounts = {}
        for (reason, domain), count in sorted(self._counts.items()):
            plain.setdefault(reason, {})[domain] = count
        return plain


def documents_table(documents: Iterable[Document]) -> pa.Table:
    """The table of `documents`, in their order."""
    rows = list(documents)
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    return pa.table(columns, schema=SCHEMA)


def read_documents(path: Path) -> pa.Table:
    """A stored document table. Raises IntegrityError if the file isn't one."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(f"{path}: {error}") from None
    if table.schema.names != SCHEMA.names:
        raise IntegrityError(f"{path}: columns {table.schema.names}, not {SCHEMA.names}")
    return table.cast(SCHEMA)


def write_documents(path: Path, documents: pa.Table) -> None:
    """Store a document table; equal tables become equal bytes."""
    pq.write_table(documents.cast(SCHEMA), path, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def drop_rows(documents: pa.Table, reasons: Sequence[str | None], drops: Drops) -> pa.Table:
    """The rows whose reason is None; all others are counted in `drops`."""
    for reason, domain in zip(reasons, documents["domain"].to_pylist(), strict=True):
        if reason:
            drops.add(reason, domain)
    return documents.filter(pa.array([reason is None for reason in reasons], pa.bool_()))


def normalized(text: str) -> str:
    """`text` composed (Unicode NFC), every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def unusable_reason(text: str | None) -> str | None:
    """Why `text` can't be a document (null, blank, NUL byte, lone surrogate), or None if it can."""
    if text is None:
        return "null-text"
    if not text.strip():
        return "empty-text"
    if "\0" in text:
        return "nul-byte"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "lone-surrogate"
    return None
