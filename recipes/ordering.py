"""Orders: which samples a run reads, and when. Pure functions of scores, domains and a seed."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.core.order_file import Order
from curricle.core.pacing import linear_pool
from curricle.core.seeds import generator

Part = Literal["all", "proxy", "target"]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def partition(num_samples: int, holdout: float, seed: int, part: Part) -> Integers:
    """Sample ids of one part: `proxy` is the share `holdout` that scoring proxies train on.

    Each sample falls to one part by chance, the same for every run of a study, so that no target
    reads a sample that a scoring proxy was trained on. Neighbouring windows of one document, and
    copies that a recipe leaves in, may still fall to both parts.
    """
    if part == "all":
        return np.arange(num_samples, dtype=np.int64)
    draws = generator(seed, "partition").random(num_samples)
    chosen = draws < holdout if part == "proxy" else draws >= holdout
    return np.flatnonzero(chosen).astype(np.int64)


def random_order(pool: Integers, count: int, seed: int) -> Order:
    """`count` samples in random order, without replacement; a further epoch is drawn anew.

    Raises InputError for an empty pool.
    """
    if not len(pool):
        raise InputError(
            "no samples to draw from",
            expected="at least one window of text",
            fix="give the recipe more text, or shorten tokenizer.sequence_length",
        )
    draw = generator(seed, "order")
    epochs = [draw.permutation(pool) for _ in range(-(-count // len(pool)))]
    return np.concatenate(epochs)[:count].astype(np.int64)


def sorted_order(order: Order, scores: Floats, direction: str, folds: int = 1) -> Order:
    """The samples of `order`, arranged by score; ties keep their turn.

    `ascending` and `descending` are sorted. `v-shaped` falls to the lowest score and rises again:
    every other rank on the way down, the rest on the way up. `interleaved` rises `folds` times,
    with ranks k, k + folds, k + 2 folds, ... in rise k (the folding order of arXiv 2506.21545).
    What is read stays the same and only when it is read changes.
    """
    if direction == "descending":
        return order[np.argsort(-scores[order], kind="stable")]
    rising = order[np.argsort(scores[order], kind="stable")]
    if direction == "v-shaped":
        return np.concatenate([rising[::2][::-1], rising[1::2]])
    if direction == "interleaved":
        return np.concatenate([rising[start::folds] for start in range(folds)])
    return rising


def growing_pool_order(
    order: Order,
    scores: Floats,
    domains: Integers,
    pool: Integers,
    *,
    start_fraction: float,
    full_at: float,
    seed: int,
) -> Order:
    """The growing pool of the irreducible curriculum (Fan & Jaggi, arXiv 2310.15389).

    Position i of n is filled, at progress i / n, from the `linear_pool` share of its domain's pool
    with the highest scores; unread samples first, without replacement until that share is used up,
    then again. The domain of every position is that of the random `order` with the same seed, so
    that the arms of a comparison have the same mix in every batch. Pass zeros as `domains` to rank
    over all domains, negated scores for the anti-curriculum. Arrays: `scores` and `domains` per
    sample of the dataset; `order` and `pool` sample ids.
    """
    shares = linear_pool(np.arange(len(order)) / len(order), start_fraction, full_at)
    filled = np.empty_like(order)
    for domain in np.unique(domains[order]):
        positions = np.flatnonzero(domains[order] == domain)
        mine = pool[domains[pool] == domain]
        ranked = mine[np.argsort(-scores[mine], kind="stable")]
        open_sizes = np.maximum(1, np.ceil(shares[positions] * len(ranked))).astype(np.int64)
        draw = generator(seed, "growing-pool", int(domain))
        filled[positions] = ranked[_draw_from_prefixes(open_sizes, draw)]
    return filled


def _draw_from_prefixes(sizes: Integers, draw: np.random.Generator) -> Integers:
    """For each size (never falling) a uniform draw from that many first ranks, not yet drawn."""
    unread: list[int] = []
    opened = 0
    drawn = np.empty(len(sizes), dtype=np.int64)
    for position, size in enumerate(sizes):
        unread.extend(range(opened, size))
        opened = int(size)
        if not unread:
            unread.extend(range(opened))
        # Swapping the chosen one with the last keeps a draw at constant cost.
        chosen = int(draw.integers(len(unread)))
        drawn[position], unread[chosen] = unread[chosen], unread[-1]
        unread.pop()
    return drawn


def reshuffled(order: Order, seed: int) -> Order:
    """The same multiset of samples in random order: the control for *what* a curriculum reads."""
    return generator(seed, "reshuffled").permutation(order)
