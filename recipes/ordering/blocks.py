"""Long arrays gone through a block at a time, so that nothing else of their length is in memory.

numpy turns 32-bit indices into 64-bit ones before it uses them: at once that would be 8 bytes each.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import Order

BLOCK = 1 << 20

Integers = npt.NDArray[np.signedinteger[Any]]


def blocks(count: int, start: int = 0) -> Iterator[slice]:
    """Slices that cover the places from `start` up to `count` in turn."""
    for first in range(start, count, BLOCK):
        yield slice(first, min(first + BLOCK, count))


def fill(target: Order, here: npt.NDArray[np.bool_], source: Integers, picks: Integers) -> None:
    """`target[here] = source[picks]`."""
    done = 0
    for block in blocks(len(target)):
        places = here[block]
        end = done + int(np.count_nonzero(places))
        target[block][places] = source[picks[done:end]]
        done = end
