"""Reading ahead: the next item is made in a thread while the current one is used."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(read: Callable[[int], T], steps: Sequence[int]) -> Iterator[tuple[int, T]]:
    """Yield (step, read(step)) for `steps` in turn, one ahead."""
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as executor:
        coming = executor.submit(read, steps[0]) if steps else None
        for index, step in enumerate(steps):
            assert coming is not None
            item = coming.result()
            if index + 1 < len(steps):
                coming = executor.submit(read, steps[index + 1])
            yield step, item
