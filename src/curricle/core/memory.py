"""Giving freed memory back to the system."""

import ctypes
import functools
import gc
from collections.abc import Callable

import pyarrow as pa


def release_memory() -> None:
    """Return what was freed: Arrow's pool and glibc's arenas keep it for later otherwise.

    A process that works on one shard after the other would come to hold the most that any of its
    threads ever needed at once, which grows with the number of shards.
    """
    pa.default_memory_pool().release_unused()
    _trim()(0)


def collect_from_here_on() -> None:
    """Spare what lives now from garbage collection, until `collect_everything`.

    A collection then takes milliseconds instead of the half second that all loaded modules take.
    """
    gc.collect()
    gc.freeze()


def collect_everything() -> None:
    """End what `collect_from_here_on` began."""
    gc.unfreeze()


@functools.cache
def _trim() -> Callable[[int], int]:
    """The C library's `malloc_trim`; not all have one."""
    trim: Callable[[int], int] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
    return trim
