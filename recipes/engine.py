"""Where shard functions run: in this process, or on the processes and machines of an engine.

A shard function takes one shard and returns one value, and both can be pickled. Shards refer to
files, which the function reads where it runs. What is made of the values depends neither on the
engine nor on how a table was cut into shards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

# A shard holds enough to make a task's overhead (some milliseconds) small, and more in large
# corpora, so that there are fewer tasks; its values pass through memory, which bounds it.
SHARDS, LEAST_BYTES, MOST_BYTES = 256, 8 << 20, 64 << 20

Item = TypeVar("Item")
Value = TypeVar("Value")


class Engine(Protocol):
    """Maps a shard function over shards."""

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        """The value of each item, in their order. Raises what the function raises."""


class InProcess:
    """One shard after the other, here."""

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        """The value of each item, computed when it is asked for."""
        return map(function, items)


IN_PROCESS = InProcess()


@dataclass(frozen=True)
class Work:
    """What a step that works out of core needs: an engine, and a folder that all of it sees."""

    engine: Engine
    scratch: Path


def in_shards(sizes: Sequence[int]) -> Iterator[range]:
    """Indices in turn, in ranges: each a shard, but for the last of at least a certain size."""
    least = min(max(sum(sizes) // SHARDS, LEAST_BYTES), MOST_BYTES)
    start = total = 0
    for index, size in enumerate(sizes):
        total += size
        if total >= least:
            yield range(start, index + 1)
            start, total = index + 1, 0
    if start < len(sizes):
        yield range(start, len(sizes))
