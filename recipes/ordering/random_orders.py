"""Random orders, the parts of a dataset that they draw from, and the reshuffled control."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.core.order_file import Order
from curricle.core.seeds import derive_seed, generator
from curricle.recipes.mixing import apportioned
from curricle.recipes.ordering.drawing import rank_type

Part = Literal["all", "proxy", "target"]
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
    return np.flatnonzero(chosen).astype(np.int64, copy=False)


def random_order(pool: Integers, count: int, seed: int, out: Order | None = None) -> Order:
    """`count` samples in random order, without replacement; a further epoch is drawn anew.

    Written into `out` if that is given, such as a mapped file. Raises InputError for an empty pool.
    """
    order = np.empty(count, dtype=np.int64) if out is None else out
    done = 0
    for epoch in random_epochs(pool, count, seed):
        order[done : done + len(epoch)] = epoch
        done += len(epoch)
    return order


def random_epochs(
    pool: Integers, count: int, seed: int
) -> Iterator[npt.NDArray[np.signedinteger[Any]]]:
    """The samples of `random_order`, an epoch at a time.

    In 32 bits where they fit, which a shuffle's draws don't depend on.
    """
    if not len(pool):
        raise InputError(
            "no samples to draw from",
            expected="at least one window of text",
            fix="give the recipe more text, or shorten tokenizer.sequence_length",
        )
    draw = generator(seed, "order")
    dtype = rank_type(int(pool.max()) + 1)
    for start in range(0, count, len(pool)):
        epoch: npt.NDArray[np.signedinteger[Any]] = pool.astype(dtype)
        draw.shuffle(epoch)
        yield epoch[: count - start]


def mixed_order(
    pools: Mapping[str, Integers], weights: Mapping[str, float], count: int, seed: int
) -> Order:
    """`count` samples in random order, each domain's share of them by its weight, to the sample.

    `pools` has the samples of each domain. They are drawn without replacement, and a further epoch
    of a domain anew. Raises InputError for a domain without samples.
    """
    check_mix(pools, weights)
    total = math.fsum(weights.values())
    wanted = apportioned({name: weights[name] / total for name in weights}, count)
    parts = [
        random_order(pools[name], wanted[name], derive_seed(seed, "mix", name))
        for name in sorted(wanted)
    ]
    order = np.concatenate(parts)
    generator(seed, "mixed-order").shuffle(order)
    return order


def check_mix(pools: Mapping[str, Integers], weights: Mapping[str, float]) -> None:
    """Raise InputError if a domain that has a weight has no samples."""
    present = sorted(name for name, samples in pools.items() if len(samples))
    if missing := sorted(set(weights) - set(present)):
        raise InputError(
            f"a proxy's mix reads domain {missing[0]!r}, which has no samples to train it on",
            expected=f"domains among {', '.join(present)}",
            fix=f"leave {missing[0]!r} out of the mix, or add documents to it",
        )


def reshuffled(order: Order, seed: int, out: Order | None = None) -> Order:
    """The same multiset of samples in random order: the control for *what* a curriculum reads.

    Written into `out` if that is given, which may be `order` itself.
    """
    # Not in place: random writes all over a mapped file would reach the disk again and again.
    mixed = np.array(order, dtype=rank_type(int(order.max()) + 1))
    generator(seed, "reshuffled").shuffle(mixed)
    filled = np.empty(len(order), dtype=np.int64) if out is None else out
    filled[:] = mixed
    return filled
