"""What a recipe does to documents: a step takes a document table and returns one, counting drops.

A step's result depends on its spec, the seed and the documents (not on how they were batched), and
rows keep their order.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curricle.recipes.documents import Drops
from curricle.recipes.specs.steps import (
    ExactDedup,
    MinHashDedup,
    QualityFilter,
    ShuffleLetters,
    ShuffleWords,
    Step,
)
from curricle.recipes.steps.deduplication import exact_dedup, minhash_dedup
from curricle.recipes.steps.quality import quality_filter
from curricle.recipes.steps.shuffling import shuffle_letters, shuffle_words


def apply_step(step: Step, documents: pa.Table, seed: int, drops: Drops) -> pa.Table:
    """The documents that `step` leaves, in their order; dropped ones are counted in `drops`."""
    match step:
        case ExactDedup():
            return exact_dedup(documents, drops)
        case MinHashDedup():
            return minhash_dedup(step, documents, drops)
        case QualityFilter():
            return quality_filter(step, documents, drops)
        case ShuffleLetters():
            return shuffle_letters(documents, seed)
        case ShuffleWords():
            return shuffle_words(documents, seed)


def apply_steps(
    steps: Sequence[Step], documents: pa.Table, seed: int
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The documents that all steps leave, and what each saw, kept and dropped for which reason."""
    accounts = []
    for step in steps:
        drops, seen = Drops(), documents.num_rows
        documents = apply_step(step, documents, seed, drops)
        assert documents.num_rows + drops.total == seen, step
        accounts.append(
            {
                "step": step.step,
                "seen": seen,
                "kept": documents.num_rows,
                "dropped": drops.to_plain(),
            }
        )
    return documents, accounts
