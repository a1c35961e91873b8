"""Stages, one after the other: each with tokens, a mix of domains, a share of the best samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.core.order_file import Order
from curricle.core.seeds import generator
from curricle.recipes.mixing import apportioned
from curricle.recipes.ordering.blocks import blocks
from curricle.recipes.ordering.drawing import Ranks, draw_least_read


@dataclass(frozen=True)
class StagePlan:
    """`samples` of a stage, their shares by domain (normalised), and which top share is open."""

    samples: int
    shares: Mapping[str, float]
    top: float = 1.0


@dataclass
class RankedPool:
    """The samples of one domain that may be read, from the highest score on, and their reads."""

    ranked: Ranks
    reads: npt.NDArray[np.uint16] = field(init=False)

    def __post_init__(self) -> None:
        self.reads = np.zeros(len(self.ranked), dtype=np.uint16)


def staged_order(
    stages: Sequence[StagePlan],
    pools: Mapping[str, RankedPool],
    *,
    with_replacement: bool,
    max_repeats: int | None,
    seed: int,
    out: Order | None = None,
) -> Order:
    """Every stage's samples in random order, the stages in turn; written into `out` if given.

    Of each domain a stage reads its share to the sample (largest remainders), uniformly from the
    open share of its pool: without replacement those read least by all stages so far come first.
    Raises InputError if a stage wants a domain without samples, or too many repeats.
    """
    filled = out
    if filled is None:
        filled = np.empty(sum(stage.samples for stage in stages), dtype=np.int64)
    # A mapped file's own class would be shuffled item by item, in Python.
    plain, start = np.asarray(filled), 0
    for number, stage in enumerate(stages):
        draw = generator(seed, "stages", number)
        wanted = apportioned(stage.shares, stage.samples)
        part = plain[start : start + stage.samples]
        start += stage.samples
        done = 0
        for domain in sorted(name for name, count in wanted.items() if count):
            pool = _pool_of(pools, domain, number)
            size = max(1, int(np.ceil(stage.top * len(pool.ranked))))
            ranks: Ranks
            if with_replacement:
                ranks = draw.integers(size, size=wanted[domain])
            else:
                ranks = draw_least_read(pool.reads, size, wanted[domain], draw, max_repeats)
            for block in blocks(len(ranks)):
                part[done + block.start : done + block.stop] = pool.ranked[ranks[block]]
            done += len(ranks)
        draw.shuffle(part)
    return filled


def _pool_of(pools: Mapping[str, RankedPool], domain: str, stage: int) -> RankedPool:
    if domain not in pools or not len(pools[domain].ranked):
        present = sorted(name for name, pool in pools.items() if len(pool.ranked))
        raise InputError(
            f"stage {stage + 1} reads domain {domain!r}, which has no samples",
            expected=f"domains among {', '.join(present)}",
            fix=f"leave {domain!r} out of the stage's mix, or add documents to it",
        )
    return pools[domain]
