"""Exact and near deduplication over all documents, whatever their domain."""

import hashlib

import numpy as np
import pyarrow as pa

from curricle.recipes.documents import Drops, drop_rows, normalized
from curricle.recipes.minhash import MinHashSettings, near_duplicate_clusters
from curricle.recipes.specs.steps import MinHashDedup

EXACT_REASON, NEAR_REASON = "exact-duplicate", "near-duplicate"


def exact_dedup(documents: pa.Table, drops: Drops) -> pa.Table:
    """Of documents whose normalised text is equal, keep the one with the smallest id."""
    keys = [
        hashlib.sha256(normalized(text).encode()).digest() for text in documents["text"].to_pylist()
    ]
    rows = list(zip(keys, documents["id"].to_pylist(), strict=True))
    first: dict[bytes, str] = {}
    for key, identifier in rows:
        first[key] = min(first.get(key, identifier), identifier)
    reasons = [None if first[key] == identifier else EXACT_REASON for key, identifier in rows]
    return drop_rows(documents, reasons, drops)


def minhash_dedup(step: MinHashDedup, documents: pa.Table, drops: Drops) -> pa.Table:
    """Of each cluster of near-duplicates keep the document with the smallest id."""
    settings = MinHashSettings(step.ngram, step.bands, step.rows, step.threshold)
    identifiers, texts = documents["id"].to_pylist(), documents["text"].to_pylist()
    by_id = sorted(range(len(identifiers)), key=identifiers.__getitem__)
    clusters = near_duplicate_clusters([texts[row] for row in by_id], settings)
    reasons: list[str | None] = [None] * len(texts)
    for position in np.flatnonzero(clusters != np.arange(len(clusters))):
        reasons[by_id[position]] = NEAR_REASON
    return drop_rows(documents, reasons, drops)
