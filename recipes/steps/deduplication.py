"""Exact and near deduplication: of several documents that are the same, one stays."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import rankdata

from curricle.core.errors import InputError
from curricle.recipes import lsh
from curricle.recipes.codepoints import Indices
from curricle.recipes.document_file import Batch, Documents
from curricle.recipes.documents import normalized
from curricle.recipes.dropped import Drop, DropLog
from curricle.recipes.given_scores import given_scores
from curricle.recipes.jaccard import exact_jaccard
from curricle.recipes.measuring import read_signatures
from curricle.recipes.minhash import (
    Clusters,
    Similarities,
    Similarity,
    estimated_similarity,
    find_clusters,
)
from curricle.recipes.shingles import Shingles, shingle
from curricle.recipes.specs.measurements import GivenScores
from curricle.recipes.specs.steps import Best, Dedup, ExactDedup, MinHashDedup

EXACT_REASON, NEAR_REASON = "exact-duplicate", "near-duplicate"
# How surely a pair at the threshold becomes a candidate where bands and rows aren't given: what
# verification throws out may be found in plenty; unverified, errors on both sides weigh the same.
VERIFIED_RECALL, UNVERIFIED_RECALL = 0.95, 0.5

Transform = Callable[[Batch, DropLog], pa.Table]


def exact_dedup(step: ExactDedup, documents: Documents) -> Transform:
    """Keep one of the documents whose normalised text is equal."""
    digests: list[bytes] = []
    for batch in documents.batches(["text", "domain"]):
        domains = batch.table["domain"].to_pylist()
        for text, domain in zip(batch.texts, domains, strict=True):
            scope = f"{domain}\0" if step.scope == "domain" else ""
            content = f"{scope}{normalized(text)}".encode("utf-8", "surrogatepass")
            digests.append(hashlib.blake2b(content, digest_size=16).digest())
    groups = pa.array(digests, pa.binary()).dictionary_encode().indices.to_numpy()
    return _keep_one(step, documents, groups.astype(np.int64), lambda _: Drop(EXACT_REASON))


def minhash_dedup(step: MinHashDedup, documents: Documents, measured: Path) -> Transform:
    """Keep one document of each cluster of near-duplicates."""
    clusters = clusters_of(step, documents, measured)

    def drop(row: int) -> Drop:
        return Drop(NEAR_REASON, float(clusters.similarity[row]), step.threshold)

    return _keep_one(step, documents, clusters.labels, drop)


def clusters_of(step: MinHashDedup, documents: Documents, measured: Path) -> Clusters:
    """The near-duplicates among `documents`, by the signatures in `measured`."""
    signatures = read_signatures(measured)
    domains = documents.codes("domain")
    scopes = domains if step.scope == "domain" else np.zeros_like(domains)
    if step.verify:
        similarity: Similarity = functools.partial(_exact_similarity, documents, step.ngram)
        threshold = step.threshold
    else:
        similarity, threshold = functools.partial(estimated_similarity, signatures), 0.0
    return find_clusters(signatures, scopes, shape_of(step), similarity, threshold)


def shape_of(step: MinHashDedup) -> lsh.Shape:
    """Bands and rows as given, or derived from the threshold."""
    if step.bands is not None and step.rows is not None:
        return lsh.Shape(step.bands, step.rows)
    recall = VERIFIED_RECALL if step.verify else UNVERIFIED_RECALL
    return lsh.shape_for(step.threshold, step.permutations, recall)


def _keep_one(
    step: Dedup, documents: Documents, groups: Indices, drop: Callable[[int], Drop]
) -> Transform:
    """Keep the best document of each group; `drop` says why another one goes."""
    keepers = _best_of_each(groups, _priority(step, documents), documents.codes("id"))
    ids = documents.column("id")

    def transform(batch: Batch, log: DropLog) -> pa.Table:
        drops: list[Drop | None] = [None] * batch.table.num_rows
        rows = np.arange(batch.rows.start, batch.rows.stop)
        for row in rows[keepers[rows] != rows].tolist():
            kept = ids[int(keepers[row])].as_py()
            drops[row - batch.start] = drop(row)._replace(kept=kept)
        return log.filter(batch.table, drops)

    return transform


def _best_of_each(groups: Indices, priority: Indices, ids: Indices) -> Indices:
    """For each document the row of its group's best: highest priority, then smallest id."""
    order = np.lexsort((ids, -priority, groups))
    is_first = np.diff(groups[order], prepend=-1) != 0
    best = np.empty_like(order)
    best[order] = order[is_first][np.cumsum(is_first) - 1]
    return best


def _priority(step: Dedup, documents: Documents) -> Indices:
    """For each document how much it should stay; the highest does."""
    if isinstance(step.keep, Best):
        return _ranks(step.keep, documents)
    lengths = [
        pc.utf8_length(batch.table["text"]).to_numpy() for batch in documents.batches(["text"])
    ]
    priority = np.concatenate([np.zeros(0, np.int64), *lengths]).astype(np.int64)
    return priority if step.keep == "longest" else np.zeros_like(priority)


def _ranks(best: Best, documents: Documents) -> Indices:
    if best.given:
        return _given_ranks(best.given, documents.column("id"), best.order)
    if best.column not in documents.schema.names:
        raise InputError(
            f"keep: column {best.column!r}",
            expected=f"one of {', '.join(documents.schema.names)}",
            fix="name a column that the corpus keeps",
        )
    return documents.codes(best.column, descending=best.order == "lowest")


def _given_ranks(given: GivenScores, ids: pa.ChunkedArray, order: str) -> Indices:
    """Dense ranks from 1 on, the best highest; 0 for a document without a number."""
    scores = given_scores(given, ids)
    if order == "lowest":
        scores = -scores
    ranks = rankdata(scores, method="dense", nan_policy="omit")
    return np.asarray(np.nan_to_num(ranks, nan=0.0), dtype=np.int64)


def _exact_similarity(documents: Documents, ngram: int, pairs: Indices) -> Similarities:
    """Exact Jaccard similarity; holds the n-grams of all documents in `pairs`."""
    rows, renumbered = np.unique(pairs, return_inverse=True)
    hashes, lengths = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for batch in documents.batches(["text"]):
        first, last = np.searchsorted(rows, [batch.rows.start, batch.rows.stop])
        if first < last:
            wanted = pa.array(rows[first:last] - batch.start)
            part = shingle(batch.table["text"].take(wanted).to_pylist(), ngram)
            hashes.append(part.hashes)
            lengths.append(part.lengths())
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])
    shingles = Shingles(np.concatenate(hashes), offsets)
    return exact_jaccard(shingles, renumbered.reshape(pairs.shape))
