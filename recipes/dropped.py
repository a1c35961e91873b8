"""What was dropped, why, and examples of it: the rule, its value, its threshold."""

import hashlib
import operator
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import IntegrityError
from curricle.recipes.documents import DropCounts, Drops

DROPPED = "dropped.parquet"
# The reason of whatever ranks or limits a score for documents that have none.
NO_SCORE = "no-score"
# Examples kept per reason and domain, and the characters shown of each: enough to judge a rule by,
# and a few megabytes at most whatever the corpus.
EXAMPLES, EXCERPT = 50, 400


class Drop(NamedTuple):
    """Why one document goes. `value` broke `threshold`; `kept` is the copy that stays instead."""

    reason: str
    value: float | None = None
    threshold: float | None = None
    kept: str | None = None


class Example(NamedTuple):
    """A dropped document, as `dropped.parquet` has it."""

    reason: str
    domain: str
    id: str
    source: str
    value: float | None
    threshold: float | None
    kept: str | None
    excerpt: str


SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("reason", "domain", "id", "source")),
        *((name, pa.float64()) for name in ("value", "threshold")),
        *((name, pa.string()) for name in ("kept", "excerpt")),
    ]
)


class DropLog(Drops):
    """Counts drops and keeps examples: per reason and domain those with the smallest hash of id."""

    def __init__(self) -> None:
        super().__init__()
        self._examples: dict[tuple[str, str], list[tuple[bytes, Example]]] = {}
        self._changes: Counter[tuple[str, str]] = Counter()

    def filter(self, documents: pa.Table, drops: Sequence[Drop | None]) -> pa.Table:
        """The documents without a drop; the others are counted."""
        ids, domains = documents["id"].to_pylist(), documents["domain"].to_pylist()
        for row, drop in enumerate(drops):
            if drop is None:
                continue
            self.add(drop.reason, domains[row])
            place = hashlib.sha256(ids[row].encode("utf-8", "surrogatepass")).digest()
            found = self._examples.setdefault((drop.reason, domains[row]), [])
            if len(found) < EXAMPLES or place < found[-1][0]:
                found.append((place, _example(drop, documents.slice(row, 1))))
                found.sort(key=operator.itemgetter(0))
                del found[EXAMPLES:]
        return documents.filter(pa.array([drop is None for drop in drops], pa.bool_()))

    def merge(self, other: "DropLog") -> None:
        """Take over what another log has counted and kept."""
        self.update(other)
        self._changes.update(other._changes)
        for key, examples in other._examples.items():
            found = [*self._examples.get(key, ()), *examples]
            self._examples[key] = sorted(found, key=operator.itemgetter(0))[:EXAMPLES]

    def change(self, what: str, domain: str, count: int = 1) -> None:
        """Count parts of documents that stay which were changed, such as lines removed."""
        if count:
            self._changes[what, domain] += count

    @property
    def changes(self) -> DropCounts:
        """`{what: {domain: parts}}`, sorted."""
        plain: DropCounts = {}
        for (what, domain), count in sorted(self._changes.items()):
            plain.setdefault(what, {})[domain] = count
        return plain

    def write(self, path: Path) -> None:
        """Store the examples."""
        examples = [
            example._asdict()
            for _, found in sorted(self._examples.items(), key=operator.itemgetter(0))
            for _, example in found
        ]
        table = pa.Table.from_pylist(examples, schema=SCHEMA)
        pq.write_table(table, path, compression="zstd")


def _example(drop: Drop, document: pa.Table) -> Example:
    (row,) = document.to_pylist()
    return Example(
        reason=drop.reason,
        domain=row["domain"],
        id=row["id"],
        source=row["source"],
        value=drop.value,
        threshold=drop.threshold,
        kept=drop.kept,
        excerpt=row["text"][:EXCERPT],
    )


def read_dropped(path: Path) -> list[Example]:
    """Stored examples. Raises IntegrityError if the file isn't readable."""
    try:
        rows = pq.read_table(path, schema=SCHEMA).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(f"{path}: {error}") from None
    return [Example(**row) for row in rows]
