"""The base corpus: sources read, split by hash, training data freed of copies of held-out text."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curricle.core.errors import InputError
from curricle.core.plain import canonical_json
from curricle.recipes.documents import (
    Document,
    Drops,
    documents_table,
    normalized,
    write_documents,
)
from curricle.recipes.minhash import MinHashSettings, copies_of
from curricle.recipes.sources import identity_of, read_source
from curricle.recipes.specs.sources import Source
from curricle.recipes.splitting import is_held_out, split
from curricle.recipes.summaries import held_out_summaries, write_summaries

TRAIN, VALIDATION = "train.parquet", "validation.parquet"
SUMMARIES, MANIFEST = "summaries.parquet", "manifest.json"

# More bands of fewer rows than for deduplication: a pair at the threshold is found with
# probability 1 - (1 - 0.7^4)^32 = 0.9998 instead of 0.56, since what is missed here is a leak.
COPY_OF_VALIDATION = MinHashSettings(ngram=5, bands=32, rows=4, threshold=0.7)


def corpus_identity(corpora: Mapping[str, Source]) -> list[dict[str, Any]]:
    """What decides the documents of `corpora`, as JSON values; names of corpora don't count.

    Raises InputError for a source that isn't there.
    """
    return sorted((identity_of(source) for source in corpora.values()), key=canonical_json)


def build_corpus(
    corpora: Mapping[str, Source], validation_fraction: float, seed: int, folder: Path
) -> dict[str, Any]:
    """Write `train.parquet`, `validation.parquet`, `summaries.parquet` and `manifest.json`.

    Documents are split first (see `splitting.split`); then training documents that are exact or
    near copies (5-word Jaccard similarity of at least 0.7) of a held-out one are dropped. Rows are
    sorted by domain and id. The summaries of held-out Python code are there to ask about.

    Returns the manifest: documents and bytes per split and domain, and the documents dropped by
    reason and domain, with seen = kept + dropped. Raises InputError for unreadable sources, ids
    that occur twice, and a corpus too small for both splits.
    """
    drops = Drops()
    documents = _read_all(corpora, seed, drops)
    train, validation = split(documents, validation_fraction, seed)
    tables = {
        "train": _sorted_table(_without_copies(train, validation, drops)),
        "validation": _sorted_table(validation),
    }
    write_documents(folder / TRAIN, tables["train"])
    write_documents(folder / VALIDATION, tables["validation"])
    held_out = functools.partial(is_held_out, validation_fraction=validation_fraction, seed=seed)
    write_summaries(folder / SUMMARIES, held_out_summaries(corpora.values(), held_out, seed))
    manifest = _manifest(tables, drops)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _read_all(corpora: Mapping[str, Source], seed: int, drops: Drops) -> list[Document]:
    documents: dict[str, Document] = {}
    for name, source in sorted(corpora.items()):
        for document in read_source(source, seed, drops):
            if document.id in documents:
                raise _duplicate_id(name, document, documents[document.id])
            documents[document.id] = document
    if not documents:
        raise InputError(
            f"corpora {', '.join(sorted(corpora))} hold no usable document"
            f" ({drops.total} dropped: {', '.join(drops.to_plain()) or 'none seen'})",
            expected="at least two documents in every domain",
            fix="check the paths and column names of the corpora",
        )
    return list(documents.values())


def _without_copies(
    train: Sequence[Document], validation: Sequence[Document], drops: Drops
) -> list[Document]:
    held_out = {normalized(document.text) for document in validation}
    near = copies_of(
        [document.text for document in train],
        [document.text for document in validation],
        COPY_OF_VALIDATION,
    )
    kept = []
    for document, is_near in zip(train, near, strict=True):
        if is_near or normalized(document.text) in held_out:
            drops.add("copy-of-validation", document.domain)
        else:
            kept.append(document)
    _check_left(train, kept)
    return kept


def _check_left(train: Iterable[Document], kept: Iterable[Document]) -> None:
    lost = {document.domain for document in train} - {document.domain for document in kept}
    if lost:
        domain = min(lost)
        raise InputError(
            f"corpus too small: all training documents of domain {domain!r} are copies of "
            "held-out ones",
            expected="distinct documents in every domain",
            fix="add other documents to that domain, or leave the domain out",
        )


def _sorted_table(documents: Iterable[Document]) -> pa.Table:
    return documents_table(sorted(documents, key=lambda one: (one.domain, one.id)))


def _manifest(tables: Mapping[str, pa.Table], drops: Drops) -> dict[str, Any]:
    kept = sum(table.num_rows for table in tables.values())
    return {
        "format": 1,
        "seen": kept + drops.total,
        "kept": kept,
        "dropped": drops.to_plain(),
        "splits": {split: _totals(table) for split, table in tables.items()},
    }


def _totals(table: pa.Table) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    columns = (table["domain"].to_pylist(), table["text"].to_pylist())
    for domain, text in zip(*columns, strict=True):
        entry = totals.setdefault(domain, {"documents": 0, "bytes": 0})
        entry["documents"] += 1
        entry["bytes"] += len(text.encode())
    return totals


def _duplicate_id(name: str, again: Document, first: Document) -> InputError:
    return InputError(
        f"corpus {name!r}: id {again.id!r} occurs twice ({first.source}; {again.source})",
        expected="ids that are unique over all corpora",
        fix="read each file in one corpus only; without id_column, ids are file names and rows",
    )
