"""The growing pool of the irreducible curriculum (Fan & Jaggi, arXiv 2310.15389)."""

import itertools

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import Order
from curricle.core.pacing import linear_pool
from curricle.core.seeds import generator
from curricle.recipes.ordering.blocks import blocks, fill
from curricle.recipes.ordering.drawing import Drawing, Ranks, draw_from_prefixes, rank_type

# The pool opens in at most so many stairs: without them 500 million draws would be as many steps
# of Python, with them nothing is open later than 1/4096 of the run after it should be.
STAIRS = 4096
# Scores are sorted in ranges of about so many, which bounds the sort's work space.
SORTED_AT_ONCE = 1 << 23

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Domains = npt.NDArray[np.integer]


def growing_pool_order(
    order: Order,
    scores: Floats,
    domains: Domains,
    in_pool: Mask,
    *,
    start_fraction: float,
    full_at: float,
    seed: int,
    drawing: Drawing = "without-replacement",
    max_repeats: int | None = None,
    already: Order | None = None,
    lowest_first: bool = False,
    out: Order | None = None,
) -> Order:
    """Draw each position from a share of its domain's pool that grows from the highest scores on.

    Position i of n is filled, at progress i / n, from the `linear_pool` share of its domain's pool
    with the highest scores, uniformly; without replacement unread samples come first, and when
    they are used up all are open again. The domain of every position is that of the random `order`
    with the same seed, so that the arms of a comparison have the same mix in every batch. Pass
    zeros as `domains` to rank over all domains; `lowest_first` is the anti-curriculum. The run
    begins with the samples `already` (default: none), whose reads count. Arrays: `scores`,
    `domains` and `in_pool` (may it be read?) per sample of the dataset; `order`, `out` and what is
    returned are sample ids.

    Memory beyond the arguments and the result: 3 bytes a sample of the dataset (5 with `already`)
    and 3 a position, 8 a sample of the largest domain that may be read and 4 a position of it.
    """
    begun = 0 if already is None else len(already)
    edges = np.unique(np.linspace(0, len(order), min(STAIRS, len(order)) + 1).astype(np.int64))
    shares = linear_pool(edges[:-1] / len(order), start_fraction, full_at)
    filled = np.empty(len(order), dtype=np.int64) if out is None else out
    reads = None
    if already is not None:
        filled[:begun], reads = already, _reads_of(already, len(scores))
    of_positions = domains[order]
    for domain in np.unique(of_positions[begun:]):
        here = of_positions == domain
        here[:begun] = False
        counts = [
            int(np.count_nonzero(here[start:end])) for start, end in itertools.pairwise(edges)
        ]
        ranked = ranked_members(scores, (domains == domain) & in_pool, lowest_first=lowest_first)
        sizes = np.maximum(1, np.ceil(shares * len(ranked))).astype(np.int64)
        draw = generator(seed, "growing-pool", int(domain))
        read = None if reads is None else reads[ranked]
        drawn = draw_from_prefixes(sizes.tolist(), counts, draw, drawing, max_repeats, read)
        fill(filled, here, ranked, drawn)
    return filled


def _reads_of(order: Order, samples: int) -> npt.NDArray[np.uint16]:
    """How often each sample is read."""
    reads = np.zeros(samples, dtype=np.uint16)
    np.add.at(reads, order, 1)
    return reads


def ranked_members(scores: Floats, members: Mask, *, lowest_first: bool = False) -> Ranks:
    """Ids of the samples that are `members`, from the highest score to the lowest; ties by id.

    Or from the lowest to the highest. Range by range of the scores, so that beside the result only
    one range is in memory.
    """
    count = int(np.count_nonzero(members))
    ranked = np.empty(count, dtype=rank_type(len(scores)))
    done = 0
    ranges = _ranges(scores, members, count)
    for low, high in ranges if lowest_first else reversed(ranges):
        start = done
        for block in blocks(len(scores)):
            here = scores[block]
            found = np.flatnonzero(members[block] & (here > low) & (here <= high))
            ranked[done : done + len(found)] = found + block.start
            done += len(found)
        if np.nextafter(low, np.inf) < high:  # else all are equal
            part = ranked[start:done]
            keys = scores[part]
            part[:] = part[np.argsort(keys if lowest_first else -keys, kind="stable")]
    return ranked


def _ranges(scores: Floats, members: Mask, count: int) -> list[tuple[float, float]]:
    """Ranges (low, high] of about `SORTED_AT_ONCE` scores, the lowest first.

    A score that more samples have than that is a range of its own.
    """
    parts = -(-count // SORTED_AT_ONCE)
    if parts <= 1:
        return [(-np.inf, np.inf)]
    step = max(1, len(scores) // (1 << 20))
    seen = scores[::step][members[::step]]
    quantiles = np.quantile(seen, np.arange(1, parts) / parts, method="lower")
    cuts, times = np.unique(quantiles, return_counts=True)
    cuts = np.union1d(cuts, np.nextafter(cuts[times > 1], -np.inf))
    return list(itertools.pairwise([-np.inf, *cuts.tolist(), np.inf]))
