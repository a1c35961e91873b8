"""Engines to test with that need no cluster."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


class Pickling:
    """Sends every function, shard and value through pickle, as an engine of processes does.

    Shards are worked on from the last to the first; values come in the order of the shards.
    """

    def __init__(self) -> None:
        self.mapped = 0

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        values = []
        for item in reversed(items):
            self.mapped += 1
            sent_function, sent_item = pickle.loads(pickle.dumps((function, item)))
            values.append(pickle.loads(pickle.dumps(sent_function(sent_item))))
        return reversed(values)
