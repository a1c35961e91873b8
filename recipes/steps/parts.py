"""Removal of lines or paragraphs that stand in an earlier document."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricle.recipes.codepoints import Indices
from curricle.recipes.document_file import Batch, Documents
from curricle.recipes.dropped import Drop, DropLog
from curricle.recipes.hashing import Hashes
from curricle.recipes.specs.steps import PartDedup

EMPTIED_REASON = "minimum-kept-share"

# Odd pieces are the separators.
_SEPARATORS = {"line-dedup": re.compile(r"(\n)"), "paragraph-dedup": re.compile(r"(\n\s*\n)")}


def part_dedup(step: PartDedup, documents: Documents) -> Callable[[Batch, DropLog], pa.Table]:
    """Remove parts that an earlier document has, and documents of which too little is left.

    Holds 16 bytes for every part of the corpus while it looks for the first of each.
    """
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for batch in documents.batches(["text", "domain"]):
        for row, text, domain in _rows(batch):
            found = _hashes(step, _SEPARATORS[step.step].split(text)[::2], domain)
            found = np.unique(found[found != 0])
            hashes.append(found)
            owners.append(np.full(len(found), row))
    # Of equal parts np.unique finds the first, which stands in the first document.
    known, first = np.unique(np.concatenate(hashes), return_index=True)
    first_rows = np.concatenate(owners)[first]

    def transform(batch: Batch, log: DropLog) -> pa.Table:
        return _without_known(step, batch, log, known, first_rows)

    return transform


def _without_known(
    step: PartDedup, batch: Batch, log: DropLog, known: Hashes, first_rows: Indices
) -> pa.Table:
    texts: list[str] = []
    drops: list[Drop | None] = []
    for row, text, domain in _rows(batch):
        pieces = _SEPARATORS[step.step].split(text)
        hashes = _hashes(step, pieces[::2], domain)
        place = np.minimum(np.searchsorted(known, hashes), max(len(known) - 1, 0))
        again = (hashes != 0) & (first_rows[place] < row) if len(known) else hashes != 0
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
