"""Evaluation items whose choices are scored by likelihood: `items.parquet`, a row an item."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import IntegrityError

ITEMS = "items.parquet"
_SCHEMA = pa.schema(
    [
        ("stage", pa.string()),
        ("family", pa.string()),
        ("held_out", pa.bool_()),
        ("number", pa.int64()),
        ("prompt", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("answer", pa.int64()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ChoiceItem:
    """A prompt and its possible continuations, of which `choices[answer]` is right.

    Prompt and choice are joined by a blank. `held_out` families are absent from all training text.
    `number` counts the items of a family.
    """

    stage: str
    family: str
    held_out: bool
    number: int
    prompt: str
    choices: tuple[str, ...]
    answer: int


def write_items(folder: Path, items: Iterable[ChoiceItem]) -> int:
    """Store the items; returns how many there are."""
    table = pa.Table.from_pylist([asdict(item) for item in items], schema=_SCHEMA)
    pq.write_table(table, folder / ITEMS, compression="zstd")
    return int(table.num_rows)


def read_items(folder: Path) -> list[ChoiceItem]:
    """The stored items. Raises IntegrityError if the file can't be read or isn't one of items."""
    try:
        rows = pq.read_table(folder / ITEMS, schema=_SCHEMA).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(f"{folder / ITEMS}: {error}") from None
    return [ChoiceItem(**{**row, "choices": tuple(row["choices"])}) for row in rows]
