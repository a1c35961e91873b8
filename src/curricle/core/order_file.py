"""The order format (`order.npy`, int64 sample ids in reading order) and batches out of it."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError, IntegrityError

ORDER = "order.npy"
# What a run has read that chose among the samples of its order.
READ = "read.npy"

Order = npt.NDArray[np.int64]


def write_order(folder: Path, order: Order) -> None:
    """Store an order. Raises InputError unless it is a non-empty vector of sample ids."""
    if order.ndim != 1 or order.size == 0 or order.min() < 0:
        raise InputError(
            f"order of shape {order.shape}",
            expected="a non-empty vector of sample ids from 0 on",
            fix="check the curriculum that made it",
        )
    if isinstance(order, np.memmap) and order.filename == str(folder / ORDER):
        order.flush()  # it has been written in its place
        return
    np.save(folder / ORDER, order.astype(np.int64, copy=False), allow_pickle=False)


def blank_order(folder: Path, count: int) -> Order:
    """An order of `count` samples to be filled in; it lies in the file, not in memory."""
    path = folder / ORDER
    order: Order = np.lib.format.open_memmap(str(path), mode="w+", dtype=np.int64, shape=(count,))
    # The file is sparse so far; without room its pages would end the process as they are filled.
    with path.open("r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)
    return order


def read_order(folder: Path, num_samples: int, *, mapped: bool = False) -> Order:
    """The order for a dataset of `num_samples`; IntegrityError if it names a missing sample.

    `mapped` leaves it in its file.
    """
    order: Order = np.load(folder / ORDER, mmap_mode="r" if mapped else None, allow_pickle=False)
    if order.dtype != np.int64 or order.ndim != 1:
        raise IntegrityError(f"{folder / ORDER}: {order.dtype} of {order.ndim} dimensions")
    for sample in (order.min(), order.max()):
        if not 0 <= sample < num_samples:
            raise IntegrityError(
                f"{folder / ORDER}: names sample {sample}, the dataset ends at {num_samples - 1}; "
                "build the order for this dataset"
            )
    return order


def write_read(folder: Path, samples: Order) -> None:
    """Store the samples that a run chose, in the order in which it read them."""
    np.save(folder / READ, samples, allow_pickle=False)


def read_read(folder: Path) -> Order | None:
    """The samples that a run chose; None if it read those of its order."""
    if not (folder / READ).exists():
        return None
    samples: Order = np.load(folder / READ, allow_pickle=False)
    return samples


def batch_at(order: Order, step: int, batch_size: int) -> Order:
    """Sample ids of the batch at `step` (from 0), whatever the number of devices."""
    return order[step * batch_size : (step + 1) * batch_size]
