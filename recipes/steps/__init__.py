"""What a recipe does to documents: a step reads a document table and writes one, counting drops.

A step's result depends on its spec, the seed and the documents (not on how they were batched), and
rows keep their order. Most steps look at the whole table first (what is repeated, where a quantile
lies) and then go through it shard by shard. In memory are some shards of text and, for each
document: 8 bytes a statistic (filters by rules, buckets); some 40 bytes (exact deduplication) or 60
(MinHash), and the ids of those with copies. Signatures, n-grams of candidates, lines and paragraphs
are shuffled on disk.
"""

import functools
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curricle.core.errors import InputError
from curricle.recipes.document_file import Batch, Documents, DocumentWriter, Shard
from curricle.recipes.dropped import DROPPED, DropLog
from curricle.recipes.engine import IN_PROCESS, Engine, Work
from curricle.recipes.specs.rules import RuleFilter
from curricle.recipes.specs.steps import (
    C4,
    Bucket,
    DuplicateDocuments,
    ExactDedup,
    ForeignDomain,
    MinHashDedup,
    PartDedup,
    Select,
    ShuffleLetters,
    ShuffleWords,
    Step,
)
from curricle.recipes.steps.buckets import bucket
from curricle.recipes.steps.c4 import c4
from curricle.recipes.steps.controls import duplicate_documents, foreign_domain
from curricle.recipes.steps.deduplication import exact_dedup, minhash_dedup
from curricle.recipes.steps.parts import part_dedup
from curricle.recipes.steps.rules import rule_filter
from curricle.recipes.steps.selection import select
from curricle.recipes.steps.shuffling import shuffle_letters, shuffle_words

# Steps whose work is in the texts; what they make of a batch can be pickled.
REWRITING = (C4, PartDedup, ShuffleLetters, ShuffleWords, DuplicateDocuments)

DOCUMENTS, ACCOUNTS = "documents.parquet", "steps.json"

# What a step makes of a batch; documents that leave are counted in the log.
Transform = Callable[[Batch, DropLog], pa.Table]
Account = dict[str, Any]


def run_step(
    step: Step,
    documents: Documents,
    measured: Path | None,
    seed: int,
    folder: Path,
    before: Sequence[Account] = (),
    engine: Engine = IN_PROCESS,
) -> list[Account]:
    """Write the documents that `step` makes, examples of those it drops, and the accounts so far.

    `measured` holds what `step.measurement` asks for. An account says what a step saw, kept, added
    and dropped for which reason; those of earlier steps are `before`. Raises InputError if nothing
    is left.
    """
    log, shards = DropLog(), documents.shards()
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        DocumentWriter(folder / DOCUMENTS, documents.schema) as writer,
    ):
        work = Work(engine, Path(scratch))
        apply = functools.partial(_apply, transform_of(step, documents, measured, seed, work))
        # What only picks documents is done sooner here than these are sent to another process.
        applied = engine.map(apply, shards) if isinstance(step, REWRITING) else map(apply, shards)
        for tables, of_shard in applied:
            log.merge(of_shard)
            for table in tables:
                writer.write(table)
    log.write(folder / DROPPED)
    seen = sum(shard.rows for shard in shards)
    account = _account(step, seen, writer.rows, log)
    if seen and not account["kept"]:
        raise _emptied(account)
    accounts = [*before, account]
    (folder / ACCOUNTS).write_text(json.dumps(accounts, indent=2) + "\n", encoding="utf-8")
    return accounts


def read_accounts(folder: Path) -> list[Account]:
    """Accounts of all steps up to the one that wrote `folder`."""
    return list(json.loads((folder / ACCOUNTS).read_text(encoding="utf-8")))


def _apply(transform: Transform, shard: Shard) -> tuple[list[pa.Table], DropLog]:
    """What is left of the batches of a shard, and what was dropped."""
    log = DropLog()
    return [transform(batch, log) for batch in shard.batches()], log


def transform_of(
    step: Step, documents: Documents, measured: Path | None, seed: int, work: Work
) -> Transform:
    """What `step` makes of the batches of `documents`, in their order."""
    match step:
        case ExactDedup():
            return exact_dedup(step, documents, work.engine)
        case PartDedup():
            return part_dedup(step, documents, work)
        case C4():
            return functools.partial(c4, step)
        case Select():
            return select(step)
        case ShuffleLetters():
            return functools.partial(shuffle_letters, seed, step.share)
        case ShuffleWords():
            return functools.partial(shuffle_words, seed, step.share)
        case DuplicateDocuments():
            return functools.partial(duplicate_documents, step, seed)
        case ForeignDomain():
            return foreign_domain(step, seed)
    assert measured is not None, step
    match step:
        case MinHashDedup():
            return minhash_dedup(step, documents, measured, work)
        case Bucket():
            return bucket(step, documents, measured)
        case RuleFilter():
            return rule_filter(step, measured)


def _account(step: Step, seen: int, written: int, log: DropLog) -> Account:
    kept = seen - log.total
    account = {"step": step.step, "seen": seen, "kept": kept, "dropped": log.to_plain()}
    assert written >= kept, step
    if written > kept:
        account["added"] = written - kept
    if log.changes:
        account["changed"] = log.changes
    return account


def _emptied(account: Account) -> InputError:
    reasons = ", ".join(account["dropped"])
    return InputError(
        f"step {account['step']} drops all {account['seen']} documents it sees ({reasons})",
        expected="at least one document left",
        fix=f"loosen the settings of {account['step']}, or remove it from the recipe",
    )
