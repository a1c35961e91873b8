"""Removal of lines or paragraphs that stand in an earlier document."""

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricle.recipes.codepoints import Indices
from curricle.recipes.document_file import Batch, Documents, Shard
from curricle.recipes.dropped import Drop, DropLog
from curricle.recipes.engine import Work
from curricle.recipes.hashing import Hashes
from curricle.recipes.shuffle import (
    Shuffled,
    partition_of,
    partitions_for,
    read_partition,
    write_shuffled,
)
from curricle.recipes.specs.steps import PartDedup

Transform = Callable[[Batch, DropLog], pa.Table]

EMPTIED_REASON = "minimum-kept-share"

# Odd pieces are the separators.
_SEPARATORS = {"line-dedup": re.compile(r"(\n)"), "paragraph-dedup": re.compile(r"(\n\s*\n)")}


def part_dedup(step: PartDedup, documents: Documents, work: Work) -> Transform:
    """Remove parts that an earlier document has, and documents of which too little is left.

    The parts' hashes are sorted on disk in partitions, one of which is in memory at a time.
    """
    shards = documents.shards()
    # Lines are longer than the hash and row of each take.
    partitions = partitions_for(sum(shard.size for shard in shards))
    find = functools.partial(_find_parts, step, partitions, work.scratch)
    found = list(work.engine.map(find, shards))
    starts = np.array([shard.start for shard in shards], np.int64)
    join = functools.partial(_join_parts, found, starts, work.scratch)
    again = list(work.engine.map(join, range(partitions)))
    return functools.partial(_without_known, step, again, starts)


def _find_parts(step: PartDedup, partitions: int, scratch: Path, shard: Shard) -> Shuffled:
    """The parts of each document of a shard, each once."""
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for batch in shard.batches(["text", "domain"]):
        for row, text, domain in _rows(batch):
            found = _hashes(step, _SEPARATORS[step.step].split(text)[::2], domain)
            found = np.unique(found[found != 0])
            hashes.append(found)
            owners.append(np.full(len(found), row, np.int64))
    keys = np.concatenate(hashes)
    path = scratch / f"parts-{shard.start}"
    numbers = partition_of(keys, partitions)
    return write_shuffled(path, keys, np.concatenate(owners), numbers, partitions)


def _join_parts(
    files: Sequence[Shuffled], starts: Indices, scratch: Path, partition: int
) -> Shuffled:
    """Where the parts of a partition stand again: a record per part and document but the first.

    Its own partitions are the shards, which begin at the rows `starts`.
    """
    records = read_partition(files, partition)
    # Rows ascend from file to file and in each, so that the first of equal parts stands first.
    records = records[np.argsort(records["key"], kind="stable")]
    again = records[1:][records["key"][1:] == records["key"][:-1]]
    path = scratch / f"again-{partition}"
    numbers = np.searchsorted(starts, again["row"], side="right") - 1
    return write_shuffled(path, again["key"], again["row"], numbers, len(starts))


def _without_known(
    step: PartDedup,
    files: Sequence[Shuffled],
    starts: Indices,
    batch: Batch,
    log: DropLog,
) -> pa.Table:
    known = _known_parts(files, starts, batch)
    texts: list[str] = []
    drops: list[Drop | None] = []
    for row, text, domain in _rows(batch):
        pieces = _SEPARATORS[step.step].split(text)
        again = np.isin(_hashes(step, pieces[::2], domain), known.get(row, ()))
        left = _joined(pieces, again)
        share = _visible(left) / max(_visible(text), 1)
        emptied = bool(again.any()) and (share < step.minimum_kept_share or not left.strip())
        texts.append(text if emptied else left)
        drops.append(Drop(EMPTIED_REASON, share, step.minimum_kept_share) if emptied else None)
        if not emptied:
            log.change(f"{step.step.removesuffix('-dedup')}s removed", domain, int(again.sum()))
    column = batch.table.schema.get_field_index("text")
    field = batch.table.schema.field(column)
    changed = batch.table.set_column(column, field, pa.array(texts, field.type))
    return log.filter(changed, drops)


def _known_parts(files: Sequence[Shuffled], starts: Indices, batch: Batch) -> dict[int, Hashes]:
    """By row the parts that an earlier document has."""
    shard = int(np.searchsorted(starts, batch.start, side="right")) - 1
    records = read_partition(files, shard)
    records = records[np.argsort(records["row"], kind="stable")]
    first, last = np.searchsorted(records["row"], [batch.rows.start, batch.rows.stop])
    records = records[first:last]
    rows, begins = np.unique(records["row"], return_index=True)
    parts = np.split(records["key"], begins[1:])
    return dict(zip(rows.tolist(), parts, strict=True)) if len(rows) else {}


def _rows(batch: Batch) -> Iterator[tuple[int, str, str]]:
    """Row in the whole table, text and domain of each document."""
    domains = batch.table["domain"].to_pylist()
    return zip(range(batch.rows.start, batch.rows.stop), batch.texts, domains, strict=True)


def _hashes(step: PartDedup, parts: Sequence[str], domain: str) -> Hashes:
    """A hash of each part, without regard to white space and case; 0 for those that are short."""
    scope = domain if step.scope == "domain" else ""
    hashes: npt.NDArray[np.uint64] = np.zeros(len(parts), dtype=np.uint64)
    for index, part in enumerate(parts):
        content = " ".join(part.split()).lower()
        if len(content) >= step.minimum_characters:
            key = f"{scope}\0{content}".encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(key, digest_size=8).digest()
            hashes[index] = int.from_bytes(digest, "little")
    return hashes


def _joined(pieces: Sequence[str], removed: npt.NDArray[np.bool_]) -> str:
    """The parts that stay, each with the separator that follows it."""
    if not removed.any():
        return "".join(pieces)
    return "".join(
        "".join(pieces[2 * index : 2 * index + 2]) for index in np.flatnonzero(~removed).tolist()
    )


def _visible(text: str) -> int:
    """Characters that aren't white space."""
    return sum(map(len, text.split()))
