"""The base corpus: sources read, split by hash, training data freed of copies of held-out text.

Texts pass through memory in batches, however large the corpus: per document some 30 bytes stay,
and of held-out ones what finds their copies.
"""

import functools
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curricle.core.errors import InputError
from curricle.core.plain import canonical_json
from curricle.recipes.copies import CopyFinder
from curricle.recipes.document_file import Documents, DocumentWriter, Shard
from curricle.recipes.documents import ROW_GROUP_ROWS, SCHEMA, Drops
from curricle.recipes.engine import IN_PROCESS, Engine
from curricle.recipes.intake import Intake, read_all
from curricle.recipes.minhash import MinHashSettings
from curricle.recipes.sources import identity_of
from curricle.recipes.specs.sources import RowsSource, Source
from curricle.recipes.splitting import is_held_out
from curricle.recipes.spool import Spooled, in_portions
from curricle.recipes.summaries import held_out_summaries, write_summaries

TRAIN, VALIDATION = "train.parquet", "validation.parquet"
SUMMARIES, MANIFEST = "summaries.parquet", "manifest.json"
PORTION_BYTES = 8 << 20

# More bands of fewer rows than for deduplication: a pair at the threshold is found with
# probability 1 - (1 - 0.7^4)^32 = 0.9998 instead of 0.56, since what is missed here is a leak.
COPY_OF_VALIDATION = MinHashSettings(ngram=5, bands=32, rows=4, threshold=0.7)

Totals = dict[str, dict[str, int]]


def corpus_identity(corpora: Mapping[str, Source]) -> list[dict[str, Any]]:
    """What decides the documents of `corpora`, as JSON values; names of corpora don't count.

    Raises InputError for a source that isn't there.
    """
    return sorted((_identity(*item) for item in corpora.items()), key=canonical_json)


def build_corpus(
    corpora: Mapping[str, Source],
    validation_fraction: float,
    seed: int,
    folder: Path,
    engine: Engine = IN_PROCESS,
) -> dict[str, Any]:
    """Write `train.parquet`, `validation.parquet`, `summaries.parquet` and `manifest.json`.

    Documents are split first (see `splitting.py`); then training documents that are exact or near
    copies (5-word Jaccard similarity of at least 0.7) of a held-out one are dropped. Rows are
    sorted by domain and id. The summaries of held-out Python code are there to ask about.

    Returns the manifest: documents and bytes per split and domain, and the documents dropped by
    reason and domain, with seen = kept + dropped. Raises InputError for unreadable sources, ids
    that occur twice, and a corpus too small for both splits.
    """
    drops = Drops()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        intake = read_all(corpora, seed, drops, Path(scratch), engine)
        candidates = Path(scratch) / TRAIN
        splits = _write_splits(intake, validation_fraction, candidates, folder / VALIDATION)
        train = _write_train(candidates, folder, drops, splits["train"], engine)
    held_out = functools.partial(is_held_out, validation_fraction=validation_fraction, seed=seed)
    write_summaries(folder / SUMMARIES, held_out_summaries(corpora.values(), held_out, seed))
    manifest = _manifest({"train": train, "validation": splits["validation"]}, drops)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _identity(name: str, source: Source) -> dict[str, Any]:
    try:
        return identity_of(source)
    except InputError as error:
        key = f"corpora.{name}"
        elsewhere = f"; elsewhere: --set {key}.path=…" if isinstance(source, RowsSource) else ""
        raise InputError(
            f"{key}: {error.found}", expected=error.expected, fix=error.fix + elsewhere
        ) from None


def _write_splits(
    intake: Intake, validation_fraction: float, train: Path, validation: Path
) -> dict[str, Totals]:
    held_out = set(intake.held_out_places(validation_fraction).tolist())
    totals: dict[str, Totals] = {"train": {}, "validation": {}}
    with DocumentWriter(train, SCHEMA) as one, DocumentWriter(validation, SCHEMA) as other:
        for portion in in_portions(intake.documents, PORTION_BYTES, ROW_GROUP_ROWS):
            for name, writer in (("train", one), ("validation", other)):
                is_validation = name == "validation"
                rows = [row for row in portion if (row.place in held_out) == is_validation]
                writer.write(_count(_table(rows), totals[name]))
    return totals


def _write_train(
    candidates: Path, folder: Path, drops: Drops, before: Totals, engine: Engine
) -> Totals:
    """Write the candidates that are no copies of a held-out document."""
    shards = Documents(candidates).shards()
    found = engine.map(functools.partial(_copies, folder / VALIDATION), shards)
    totals: Totals = {}
    with DocumentWriter(folder / TRAIN, SCHEMA) as writer:
        for shard, copied in zip(shards, found, strict=True):
            for batch in shard.batches():
                of_batch = copied[batch.start - shard.start :][: batch.table.num_rows]
                for domain in batch.table["domain"].filter(pa.array(of_batch)).to_pylist():
                    drops.add("copy-of-validation", domain)
                writer.write(_count(batch.table.filter(pa.array(~of_batch)), totals))
    _check_left(before, totals)
    return totals


def _copies(validation: Path, shard: Shard) -> npt.NDArray[np.bool_]:
    """Which documents of a shard are copies of held-out ones; shape (documents,)."""
    finder = _finder(validation)
    found = [finder.find(batch.texts) for batch in shard.batches(["text"])]
    return np.concatenate([np.empty(0, np.bool_), *found])


@functools.lru_cache(maxsize=1)
def _finder(validation: Path) -> CopyFinder:
    """Knows the held-out texts; made once in every process that looks for their copies."""
    references = (batch.texts for batch in Documents(validation).batches(["text"]))
    return CopyFinder(references, COPY_OF_VALIDATION, validation.parent)


def _table(rows: Iterable[Spooled]) -> pa.Table:
    columns: dict[str, list[str]] = {name: [] for name in SCHEMA.names}
    for row in rows:
        for name, column in columns.items():
            column.append(getattr(row, name))
    return pa.table(columns, schema=SCHEMA)


def _count(table: pa.Table, totals: Totals) -> pa.Table:
    sizes = pc.binary_length(table["text"]).to_pylist()
    for domain, size in zip(table["domain"].to_pylist(), sizes, strict=True):
        entry = totals.setdefault(domain, {"documents": 0, "bytes": 0})
        entry["documents"] += 1
        entry["bytes"] += size
    return table


def _check_left(before: Totals, after: Totals) -> None:
    if lost := set(before) - set(after):
        raise InputError(
            f"corpus too small: all training documents of domain {min(lost)!r} are copies of "
            "held-out ones",
            expected="distinct documents in every domain",
            fix="add other documents to that domain, or leave the domain out",
        )


def _manifest(splits: Mapping[str, Totals], drops: Drops) -> dict[str, Any]:
    kept = sum(entry["documents"] for totals in splits.values() for entry in totals.values())
    return {
        "format": 1,
        "seen": kept + drops.total,
        "kept": kept,
        "dropped": drops.to_plain(),
        "splits": splits,
    }
