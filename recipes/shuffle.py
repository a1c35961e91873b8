"""A shuffle on disk: records of a key and a row, sorted into partitions by whoever makes them.

Each maker writes one file, with its records in the order of their partitions; who works on a
partition reads its part of every file. The keys of a partition meet there, whoever made them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import Indices
from curricle.recipes.hashing import Hashes

RECORD = np.dtype([("key", "<u8"), ("row", "<i8")])
# Of one partition several copies are in memory while it is worked on.
PARTITION_BYTES = 64 << 20

Records = npt.NDArray[np.void]


class Shuffled(NamedTuple):
    """A file of records; those of partition p are numbers bounds[p] to bounds[p + 1]."""

    path: Path
    bounds: Indices


def partitions_for(size: int) -> int:
    """How many partitions `size` bytes of records are spread over."""
    return 1 + size // PARTITION_BYTES


def partition_of(keys: Hashes, partitions: int) -> Indices:
    """The partition of each key, by its highest bits; shape (keys,)."""
    # The highest 32 bits as a fraction of 2^32, of which each partition has an equal share.
    return (((keys >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)


def write_shuffled(
    path: Path, keys: Hashes, rows: Indices, numbers: Indices, partitions: int
) -> Shuffled:
    """Write records by their partition `numbers`, within one in the order given; all (records,)."""
    order = np.argsort(numbers, kind="stable")
    records = np.empty(len(keys), RECORD)
    records["key"], records["row"] = keys[order], rows[order]
    with path.open("wb") as stream:
        stream.write(records.data)
    counts = np.bincount(numbers, minlength=partitions)
    return Shuffled(path, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def read_partition(files: Sequence[Shuffled], number: int) -> Records:
    """All records of a partition, in the order of the files."""
    parts = [np.empty(0, RECORD)]
    for path, bounds in files:
        first, last = (int(bound) for bound in bounds[number : number + 2])
        if last > first:
            parts.append(np.fromfile(path, RECORD, last - first, offset=first * RECORD.itemsize))
    return np.concatenate(parts)
