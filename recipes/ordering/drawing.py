"""Drawing ranks from the best part of a ranked pool, with or without replacement.

Work and memory grow with the number of ranks and draws alone: four bytes a rank, no Python loop
over single draws.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.recipes.ordering.blocks import blocks

Drawing = Literal["without-replacement", "with-replacement"]
Ranks = npt.NDArray[np.signedinteger[Any]]


def rank_type(count: int) -> type[np.int32] | type[np.int64]:
    """The smallest type that holds ranks (or samples) below `count`."""
    return np.int32 if count < 2**31 else np.int64


def draw_from_prefixes(
    sizes: Sequence[int],
    counts: Sequence[int],
    draw: np.random.Generator,
    drawing: Drawing = "without-replacement",
    max_repeats: int | None = None,
    reads: npt.NDArray[np.integer] | None = None,
) -> Ranks:
    """For each (size, count) in turn `count` ranks, uniform over the first `size`.

    Sizes never fall. Without replacement: of those not drawn yet, and once all are, of all again.
    No rank is drawn more than `max_repeats` times: InputError if there are too few of them.
    `reads`, (ranks,), tells how often each has been drawn before, which counts.
    """
    dtype = rank_type(max(sizes))
    drawn = np.empty(sum(counts), dtype=dtype)
    with_replacement = drawing == "with-replacement"
    unread = None if with_replacement else _Unread(max(sizes), max_repeats, reads)
    done = 0
    for size, count in zip(sizes, counts, strict=True):
        part = drawn[done : done + count]
        if unread is None:
            part[:] = draw.integers(size, size=count, dtype=dtype)
        else:
            unread.open(size)
            unread.draw(draw, part)
        done += count
    return drawn


def draw_least_read(
    reads: npt.NDArray[np.uint16],
    size: int,
    count: int,
    draw: np.random.Generator,
    max_repeats: int | None = None,
) -> Ranks:
    """`count` of the first `size` ranks, uniform over those read least so far; `reads` counts on.

    Raises InputError if one would be drawn more than `max_repeats` times.
    """
    drawn = np.empty(count, dtype=rank_type(len(reads)))
    done = 0
    while done < count:
        least = int(reads[:size].min())
        _check_repeats(least, size, max_repeats)
        fresh = np.flatnonzero(reads[:size] == least).astype(drawn.dtype)
        places = draw.choice(len(fresh), min(count - done, len(fresh)), replace=False)
        for block in blocks(len(places)):
            chosen = fresh[places[block]]
            reads[chosen] += 1
            drawn[done : done + len(chosen)] = chosen
            done += len(chosen)
    return drawn


class _Unread:
    """The ranks that are open and not drawn yet."""

    def __init__(
        self, most: int, max_repeats: int | None, reads: npt.NDArray[np.integer] | None
    ) -> None:
        self._ranks = np.empty(most, dtype=rank_type(most))
        self._was_read = None if reads is None else reads[:most] > 0
        self._waiting = self._opened = 0
        self._max_repeats = max_repeats
        self._reads: npt.NDArray[np.uint16] | None = None
        if max_repeats:
            before = np.zeros(most, dtype=np.uint16) if reads is None else reads[:most]
            self._reads = before.astype(np.uint16)

    def open(self, size: int) -> None:
        """Let ranks below `size` in."""
        for block in blocks(size, self._opened):
            ranks = np.arange(block.start, block.stop, dtype=self._ranks.dtype)
            self._put(ranks if self._was_read is None else ranks[~self._was_read[block]])
        self._opened = max(self._opened, size)

    def draw(self, draw: np.random.Generator, out: Ranks) -> None:
        """Fill `out` with ranks in random order."""
        done = 0
        while done < len(out):
            if not self._waiting:
                self._open_again()
            taken = self._take(draw, min(len(out) - done, self._waiting))
            out[done : done + len(taken)] = taken
            done += len(taken)

    def _put(self, ranks: Ranks) -> None:
        self._ranks[self._waiting : self._waiting + len(ranks)] = ranks
        self._waiting += len(ranks)

    def _open_again(self) -> None:
        """Let all in once more that are open and may be read again."""
        if self._reads is not None:
            least = int(self._reads[: self._opened].min())
            _check_repeats(least, self._opened, self._max_repeats)
        for block in blocks(self._opened):
            ranks = np.arange(block.start, block.stop, dtype=self._ranks.dtype)
            if self._reads is not None and self._max_repeats is not None:
                ranks = ranks[self._reads[block] < self._max_repeats]
            self._put(ranks)

    def _take(self, draw: np.random.Generator, count: int) -> Ranks:
        places = draw.choice(self._waiting, count, replace=False)
        taken = self._ranks[places]
        if self._reads is not None:
            self._reads[taken] += 1
        # What is left at the end moves into the holes before it: constant cost for each draw.
        left = self._waiting - count
        stays = np.ones(count, dtype=bool)
        stays[places[places >= left] - left] = False
        self._ranks[places[places < left]] = self._ranks[left : self._waiting][stays]
        self._waiting = left
        return taken


def _check_repeats(least: int, size: int, max_repeats: int | None) -> None:
    if max_repeats is not None and least >= max_repeats:
        raise InputError(
            f"all {size} samples that may be drawn have been read {max_repeats} times",
            expected="max_repeats that is enough for the run's tokens",
            fix="raise max_repeats, open more of the pool, or shorten the run",
        )
