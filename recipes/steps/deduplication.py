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
from curricle.recipes.document_file import Batch, Documents, Shard
from curricle.recipes.documents import normalized
from curricle.recipes.dropped import Drop, DropLog
from curricle.recipes.engine import Engine, Work
from curricle.recipes.given_scores import given_scores
from curricle.recipes.hashing import Hashes
from curricle.recipes.near_duplicates import Clusters, Search, find_clusters
from curricle.recipes.specs.measurements import GivenScores
from curricle.recipes.specs.steps import Best, Dedup, ExactDedup, MinHashDedup

EXACT_REASON, NEAR_REASON = "exact-duplicate", "near-duplicate"
# How surely a pair at the threshold becomes a candidate where bands and rows aren't given: what
# verification throws out may be found in plenty; unverified, errors on both sides weigh the same.
VERIFIED_RECALL, UNVERIFIED_RECALL = 0.95, 0.5

Transform = Callable[[Batch, DropLog], pa.Table]


def exact_dedup(step: ExactDedup, documents: Documents, engine: Engine) -> Transform:
    """Keep one of the documents whose normalised text is equal."""
    digests = np.concatenate(
        list(engine.map(functools.partial(_digests, step.scope), documents.shards()))
    )
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    is_new = (digests[order][1:] != digests[order][:-1]).any(axis=1)
    groups = np.empty(len(digests), np.int64)
    groups[order] = np.concatenate([[0], np.cumsum(is_new)])[: len(order)]
    return _keep_one(step, documents, groups, lambda _: Drop(EXACT_REASON))


def _digests(scope: str, shard: Shard) -> Hashes:
    """128 bits of each normalised text, and of its domain where that counts; (documents, 2)."""
    digests: list[bytes] = []
    for batch in shard.batches(["text", "domain"]):
        domains = batch.table["domain"].to_pylist()
        for text, domain in zip(batch.texts, domains, strict=True):
            prefix = f"{domain}\0" if scope == "domain" else ""
            content = f"{prefix}{normalized(text)}".encode("utf-8", "surrogatepass")
            digests.append(hashlib.blake2b(content, digest_size=16).digest())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64).reshape(-1, 2)


def minhash_dedup(
    step: MinHashDedup, documents: Documents, measured: Path, work: Work
) -> Transform:
    """Keep one document of each cluster of near-duplicates."""
    clusters = clusters_of(step, documents, measured, work)

    def drop(row: int) -> Drop:
        return Drop(NEAR_REASON, float(clusters.similarity[row]), step.threshold)

    return _keep_one(step, documents, clusters.labels, drop)


def clusters_of(step: MinHashDedup, documents: Documents, measured: Path, work: Work) -> Clusters:
    """The near-duplicates among `documents`, by the signatures in `measured`."""
    domains = documents.codes("domain")
    scopes = domains if step.scope == "domain" else np.zeros_like(domains)
    search = Search(
        shape_of(step),
        step.threshold if step.verify else 0.0,
        step.ngram if step.verify else None,
    )
    return find_clusters(search, documents, measured, scopes, work)


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
    rows = _in_groups_of_several(groups)
    best = _best_of_each(
        groups[rows], _priority(step, documents, rows), documents.codes("id", rows)
    )
    ids = documents.column("id", rows)

    def transform(batch: Batch, log: DropLog) -> pa.Table:
        drops: list[Drop | None] = [None] * batch.table.num_rows
        first, last = np.searchsorted(rows, [batch.rows.start, batch.rows.stop])
        for place in range(first, last):
            if best[place] != place:
                row = int(rows[place])
                kept = ids[int(best[place])].as_py()
                drops[row - batch.start] = drop(row)._replace(kept=kept)
        return log.filter(batch.table, drops)

    return transform


def _in_groups_of_several(groups: Indices) -> Indices:
    """The documents that aren't alone in their group; their rows ascend."""
    return np.flatnonzero(np.bincount(groups)[groups] > 1) if len(groups) else groups


def _best_of_each(groups: Indices, priority: Indices, ids: Indices) -> Indices:
    """For each document the place of its group's best: highest priority, then smallest id."""
    order = np.lexsort((ids, -priority, groups))
    is_first = np.diff(groups[order], prepend=-1) != 0
    best = np.empty_like(order)
    best[order] = order[is_first][np.cumsum(is_first) - 1]
    return best


def _priority(step: Dedup, documents: Documents, rows: Indices) -> Indices:
    """For each of `rows` how much it should stay; the highest does."""
    if isinstance(step.keep, Best):
        return _ranks(step.keep, documents, rows)
    if step.keep == "first":
        return np.zeros_like(rows)
    lengths = [
        pc.utf8_length(batch.table["text"]).to_numpy() for batch in documents.batches(["text"])
    ]
    return np.concatenate([np.zeros(0, np.int64), *lengths]).astype(np.int64)[rows]


def _ranks(best: Best, documents: Documents, rows: Indices) -> Indices:
    if best.given:
        # Of all documents: one without a number is an error wherever it stands.
        return _given_ranks(best.given, documents.column("id"), best.order)[rows]
    if best.column not in documents.schema.names:
        raise InputError(
            f"keep: column {best.column!r}",
            expected=f"one of {', '.join(documents.schema.names)}",
            fix="name a column that the corpus keeps",
        )
    return documents.codes(best.column, rows, descending=best.order == "lowest")


def _given_ranks(given: GivenScores, ids: pa.ChunkedArray, order: str) -> Indices:
    """Dense ranks from 1 on, the best highest; 0 for a document without a number."""
    scores = given_scores(given, ids)
    if order == "lowest":
        scores = -scores
    ranks = rankdata(scores, method="dense", nan_policy="omit")
    return np.asarray(np.nan_to_num(ranks, nan=0.0), dtype=np.int64)
