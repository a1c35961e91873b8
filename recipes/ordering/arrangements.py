"""Arrangements: the samples of a random order read in another order, which a score decides.

What is read stays the same, only when it is read changes. An arrangement takes `falling`, the
places of the samples from the highest score to the lowest, and returns them in reading order.
"""

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import Order

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def sorted_order(order: Order, scores: Floats, direction: str, folds: int = 1) -> Order:
    """The samples of `order`, arranged by score; ties keep their turn.

    `ascending` and `descending` are sorted. `v-shaped` falls to the lowest score and rises again:
    every other rank on the way down, the rest on the way up. `interleaved` rises `folds` times,
    with ranks k, k + folds, k + 2 folds, ... in rise k (the folding order of arXiv 2506.21545).
    """
    if direction == "descending":
        return order[falling_places(scores[order])]
    rising = order[falling_places(-scores[order])]
    if direction == "v-shaped":
        return np.concatenate([rising[::2][::-1], rising[1::2]])
    return interleaved(rising, folds) if direction == "interleaved" else rising


def falling_places(scores: Floats) -> Places:
    """Places of the samples from the highest score to the lowest; ties keep their turn."""
    return np.argsort(-scores, kind="stable")


def interleaved(falling: Places, folds: int) -> Places:
    """`folds` falls, each through every so manieth rank."""
    return np.concatenate([falling[start::folds] for start in range(folds)])


def v_shaped(falling: Places, turn: float) -> Places:
    """From the highest score to the lowest at the share `turn` of the run, and back up.

    Each arm spans the whole range: the ranks are dealt out evenly, `turn` of them to the first.
    """
    # In place: the order of half a billion samples is held to 32 bytes each.
    dealt = np.arange(len(falling) + 1, dtype=np.float64)
    dealt *= turn
    np.floor(dealt, out=dealt)
    first = dealt[1:] > dealt[:-1]
    del dealt
    return np.concatenate([falling[first], falling[~first][::-1]])


def bucketed(falling: Places, buckets: int, draw: np.random.Generator) -> Places:
    """Ranks cut into `buckets` of one size, read from the first to the last, each in random order.

    Sizes differ by one where the number of samples isn't a multiple.
    """
    parts = np.array_split(falling, buckets)
    return np.concatenate([draw.permutation(part) for part in parts])


def warm_up(falling: Places, fraction: float) -> Places:
    """The `fraction` with the highest scores first, sorted; the rest in the turn they had."""
    first = round(fraction * len(falling))
    return np.concatenate([falling[:first], np.sort(falling[first:])])


def nearest_to_percentile(scores_CN: Floats, percentiles_C: Floats, kept: int) -> Places:
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
