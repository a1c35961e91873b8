"""Arrays on disk (NumPy's `.npy`) that are written and read piece by piece, to bound memory.

Reading is by plain reads: of a mapped file every page that was touched would count as memory.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class ArrayWriter:
    """Writes an array of `rows` rows, each of the type and shape of those of `like`."""

    def __init__(self, path: Path, like: Array, rows: int) -> None:
        self._file = path.open("wb")
        self._type, self._left = like.dtype, rows
        description = np.lib.format.dtype_to_descr(like.dtype)
        shape = (rows, *like.shape[1:])
        header = {"descr": description, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, rows: Array) -> None:
        """Append rows."""
        assert rows.dtype == self._type, (rows.dtype, self._type)
        self._left -= len(rows)
        self._file.write(np.ascontiguousarray(rows).data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        assert error is not None or not self._left, f"{self._left} rows are missing"


class ArrayFile:
    """A stored array of which rows are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as stream:
            assert np.lib.format.read_magic(stream) == (1, 0), path
            self.shape, _, self.dtype = np.lib.format.read_array_header_1_0(stream)
            self._offset = stream.tell()
        self._row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return int(self.shape[0])

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """The rows from `start` to `stop`."""
        rows = (len(self) if stop is None else stop) - start
        count = rows * self._row // self.dtype.itemsize
        place = self._offset + start * self._row
        flat: Array = np.fromfile(self._path, self.dtype, count, offset=place)
        return flat.reshape(rows, *self.shape[1:])
