"""From a curriculum's settings to an order: the one place that knows all kinds of pacing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.core.order_file import Order
from curricle.core.pacing import rising_and_falling
from curricle.core.seeds import generator
from curricle.recipes.ordering import arrangements
from curricle.recipes.ordering.blocks import fill
from curricle.recipes.ordering.drawing import Ranks
from curricle.recipes.ordering.growing_pool import growing_pool_order, ranked_members
from curricle.recipes.ordering.random_orders import random_epochs
from curricle.recipes.ordering.stages import RankedPool, StagePlan, staged_order
from curricle.recipes.specs.curricula import (
    Bucketed,
    GrowingPool,
    Interleaved,
    Oversampled,
    Precomputed,
    Sorted,
    Stages,
    VShaped,
    WarmUp,
)

# Candidates that are chosen from at once: the choice takes some 60 bytes of work space for each.
CHOSEN_AT_ONCE = 1 << 20

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Arrangement = Sorted | Bucketed | VShaped | Interleaved | WarmUp


@dataclass(frozen=True)
class SampleTable:
    """What an order is made from: for each sample a score, a domain, and whether it may be read.

    `domains` are indices into `names`. Raises InputError unless every sample has both.
    """

    scores: Floats
    domains: npt.NDArray[np.integer]
    names: tuple[str, ...]
    in_pool: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.domains):
            raise InputError(
                f"{len(self.scores)} scores for {len(self.domains)} samples",
                expected="one score for each sample of the dataset",
                fix="score the dataset with this study's sequence_length",
            )

    @property
    def pool(self) -> Integers:
        """Ids of the samples that may be read."""
        return np.flatnonzero(self.in_pool).astype(np.int64, copy=False)

    @property
    def of_one_domain(self) -> "SampleTable":
        """The same, ranked over all domains."""
        return replace(self, domains=np.zeros(len(self.domains), dtype=np.int8))


def curriculum_order(
    curriculum: Precomputed,
    table: SampleTable,
    base: Order,
    *,
    batch_size: int,
    seed: int,
    anti: bool = False,
    already: Order | None = None,
    out: Order | None = None,
) -> Order:
    """The order of a curriculum over as many samples as the random order `base` with this seed.

    Highest scores come first, with `direction: ascending` lowest. The anti-curriculum is the same
    with the scores turned round, or for stages with their turn reversed. A growing pool may go on
    from the samples `already` read, ranked by other scores. The order is written into `out` if that
    is given, such as a mapped file. Pure: the same arguments give the same order.
    """
    upside_down = (curriculum.direction == "ascending") != anti
    if curriculum.within == "all":
        table = table.of_one_domain
    match curriculum:
        case GrowingPool():
            return growing_pool_order(
                base,
                table.scores,
                table.domains,
                table.in_pool,
                start_fraction=curriculum.start_fraction,
                full_at=curriculum.full_at,
                seed=seed,
                drawing=curriculum.drawing,
                max_repeats=curriculum.max_repeats,
                already=already,
                lowest_first=upside_down,
                out=out,
            )
        case Stages():
            return _staged(curriculum, table, len(base), seed, anti, out)
        case Oversampled():
            return _oversampled(curriculum, table, len(base), batch_size, seed, upside_down, out)
        case _:
            check_epochs(curriculum, len(base), int(np.count_nonzero(table.in_pool)))
            return _arranged(curriculum, table, base, seed, upside_down, out)


def _reading_places(
    curriculum: Arrangement,
    falling: Ranks,
    draw: np.random.Generator,
) -> Ranks:
    match curriculum:
        case Sorted():
            return falling
        case Bucketed(buckets=buckets):
            return arrangements.bucketed(falling, buckets, draw)
        case VShaped(turn=turn):
            return arrangements.v_shaped(falling, turn)
        case Interleaved(folds=folds):
            return arrangements.interleaved(falling, folds)
        case WarmUp(fraction=fraction):
            return arrangements.warm_up(falling, fraction)


def _arranged(
    curriculum: Arrangement,
    table: SampleTable,
    base: Order,
    seed: int,
    lowest_first: bool,
    out: Order | None,
) -> Order:
    """Each domain's samples of the random order, arranged among that domain's positions."""
    filled = np.empty(len(base), dtype=np.int64) if out is None else out
    # A domain's keys give way to its samples; those of the other domains are left as they are.
    keys = arrangements.keys_in(filled, table.scores, base)
    of_positions = table.domains[base]
    for domain in np.unique(of_positions):
        here = of_positions == domain
        falling = ranked_members(keys, here, lowest_first=lowest_first)
        draw = generator(seed, "arrangement", int(domain))
        fill(filled, here, base, _reading_places(curriculum, falling, draw))
    return filled


def _oversampled(
    curriculum: Oversampled,
    table: SampleTable,
    count: int,
    batch_size: int,
    seed: int,
    lowest_first: bool,
    out: Order | None,
) -> Order:
    """Of `oversampling` random batches at each step the candidates nearest to a percentile.

    An epoch of candidates is in memory, 4 bytes each; the choice takes `CHOSEN_AT_ONCE` in turn.
    """
    factor, steps = curriculum.oversampling, count // batch_size
    check_epochs(curriculum, steps * batch_size, int(np.count_nonzero(table.in_pool)))
    row = batch_size * factor
    percentiles = rising_and_falling(np.arange(steps) / steps, curriculum.turn)
    fits = out is not None and len(out) == steps * batch_size
    filled = out if out is not None and fits else np.empty(steps * batch_size, dtype=np.int64)
    at_once = max(1, CHOSEN_AT_ONCE // row)
    candidates = _regrouped(random_epochs(table.pool, steps * row, seed), at_once * row)
    for start, ids in zip(range(0, steps, at_once), candidates, strict=True):
        rows = ids.reshape(-1, row)
        scores = -table.scores[rows] if lowest_first else table.scores[rows]
        here = percentiles[start : start + at_once]
        chosen = arrangements.nearest_to_percentile(scores, here, batch_size)
        kept = np.take_along_axis(rows, chosen, axis=1).reshape(-1)
        filled[start * batch_size : start * batch_size + len(kept)] = kept
    _check_reads(curriculum, filled)
    return filled


def _regrouped(parts: Iterable[Ranks], size: int) -> Iterator[Ranks]:
    """What `parts` hold, one after the other, in arrays of `size`; the last may be shorter."""
    waiting: list[Ranks] = []
    missing = size
    for part in parts:
        start = 0
        while start < len(part):
            waiting.append(part[start : start + missing])
            start += len(waiting[-1])
            missing -= len(waiting[-1])
            if not missing:
                yield np.concatenate(waiting)
                waiting, missing = [], size
    if waiting:
        yield np.concatenate(waiting)


def _staged(
    curriculum: Stages,
    table: SampleTable,
    count: int,
    seed: int,
    anti: bool,
    out: Order | None,
) -> Order:
    lowest_first = curriculum.direction == "ascending"
    pools = {
        name: RankedPool(
            ranked_members(
                table.scores, table.in_pool & (table.domains == index), lowest_first=lowest_first
            )
        )
        for index, name in enumerate(table.names)
    }
    sizes = {name: len(pool.ranked) for name, pool in pools.items()}
    natural = {name: size / sum(sizes.values()) for name, size in sizes.items()}
    ends = np.cumsum([stage.tokens for stage in curriculum.stages])
    edges = np.round(ends / ends[-1] * count).astype(np.int64)
    samples = np.diff(edges, prepend=0).tolist()
    stages = []
    for stage, size in zip(curriculum.stages, samples, strict=True):
        weights = dict(stage.mix) if stage.mix else natural
        total = sum(weights.values())
        shares = {name: weight / total for name, weight in weights.items()}
        stages.append(StagePlan(size, shares, stage.top))
    return staged_order(
        stages[::-1] if anti else stages,
        pools,
        with_replacement=curriculum.drawing == "with-replacement",
        max_repeats=curriculum.max_repeats,
        seed=seed,
        out=out,
    )


def _check_reads(curriculum: Precomputed, order: Order) -> None:
    if curriculum.max_repeats is None:
        return
    reads = np.bincount(order)
    if (most := int(reads.max())) > curriculum.max_repeats:
        raise InputError(
            f"sample {reads.argmax()}: chosen {most} times",
            expected=f"at most max_repeats, {curriculum.max_repeats}",
            fix="raise max_repeats, give the recipe more text, or shorten the run",
        )


def check_epochs(curriculum: Precomputed, count: int, pool: int) -> None:
    """Raise InputError if `count` reads of a pool's samples are over its cap by any scores."""
    epochs = -(-count // pool)
    if curriculum.max_repeats is not None and epochs > curriculum.max_repeats:
        raise InputError(
            f"{count} samples out of a pool of {pool}: {epochs} epochs",
            expected=f"at most max_repeats, {curriculum.max_repeats}",
            fix="raise max_repeats, give the recipe more text, or shorten the run",
        )
