"""Arrangements: the samples of a random order read in another order, which a score decides.

What is read stays the same, only when it is read changes. An arrangement takes `falling`, the
places of the samples from the highest score to the lowest, and returns them in reading order.
"""

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import Order
from curricle.recipes.ordering.blocks import blocks, fill
from curricle.recipes.ordering.drawing import Ranks
from curricle.recipes.ordering.growing_pool import ranked_members

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def sorted_order(
    order: Order, scores: Floats, direction: str, folds: int = 1, out: Order | None = None
) -> Order:
    """The samples of `order`, arranged by score; ties keep their turn.

    `ascending` and `descending` are sorted. `v-shaped` falls to the lowest score and rises again:
    every other rank on the way down, the rest on the way up. `interleaved` rises `folds` times,
    with ranks k, k + folds, k + 2 folds, ... in rise k (the folding order of arXiv 2506.21545).
    Written into `out` if that is given, such as a mapped file.
    """
    filled = np.empty(len(order), dtype=np.int64) if out is None else out
    everywhere = np.ones(len(order), dtype=bool)
    keys = keys_in(filled, scores, order)
    places = ranked_members(keys, everywhere, lowest_first=direction != "descending")
    if direction == "v-shaped":
        places = np.concatenate([places[::2][::-1], places[1::2]])
    elif direction == "interleaved":
        places = interleaved(places, folds)
    fill(filled, everywhere, order, places)
    return filled


def keys_in(filled: Order, scores: Floats, order: Order) -> Floats:
    """The scores of the samples of `order`, in the bytes of an order that is filled in later."""
    keys = np.asarray(filled).view(np.float64)
    for block in blocks(len(order)):
        keys[block] = scores[order[block]]
    return keys


def interleaved(falling: Ranks, folds: int) -> Ranks:
    """`folds` falls, each through every so manieth rank."""
    return np.concatenate([falling[start::folds] for start in range(folds)])


def v_shaped(falling: Ranks, turn: float) -> Ranks:
    """From the highest score to the lowest at the share `turn` of the run, and back up.

    Each arm spans the whole range: the ranks are dealt out evenly, `turn` of them to the first.
    """
    first = np.empty(len(falling), dtype=bool)
    for block in blocks(len(falling)):
        dealt = np.floor(np.arange(block.start, block.stop + 1, dtype=np.float64) * turn)
        first[block] = dealt[1:] > dealt[:-1]
    return np.concatenate([falling[first], falling[~first][::-1]])


def bucketed(falling: Ranks, buckets: int, draw: np.random.Generator) -> Ranks:
    """Ranks cut into `buckets` of one size, read from the first to the last, each in random order.

    Sizes differ by one where the number of samples isn't a multiple.
    """
    mixed = falling.copy()
    for part in np.array_split(mixed, buckets):
        draw.shuffle(part)
    return mixed


def warm_up(falling: Ranks, fraction: float) -> Ranks:
    """The `fraction` with the highest scores first, sorted; the rest in the turn they had."""
    first = round(fraction * len(falling))
    return np.concatenate([falling[:first], np.sort(falling[first:])])


def nearest_to_percentile(scores_CN: Floats, percentiles_C: Floats, kept: int) -> Integers:
    """Of each row of candidates the `kept` whose percentile among them is nearest to the row's.

    `scores_CN` has a row for each batch, its candidates in columns; a candidate's percentile is its
    rank from the highest score (0) to the lowest (1). Returns columns, (C, kept), in their turn;
    of two that are as near the one with the higher score is kept.
    """
    columns = scores_CN.shape[1]
    ranks = np.argsort(np.argsort(-scores_CN, axis=1, kind="stable"), axis=1, kind="stable")
    away = np.abs(ranks / max(columns - 1, 1) - percentiles_C[:, None])
    by_rank = np.argsort(ranks, axis=1, kind="stable")
    order = np.argsort(np.take_along_axis(away, by_rank, axis=1), axis=1, kind="stable")
    chosen = np.take_along_axis(by_rank, order[:, :kept], axis=1)
    return np.sort(chosen, axis=1)
