"""The materialised order: the samples themselves in reading order, for storage that likes streams.

Files: `samples-<number>.bin` (whole samples of `sequence_length` + 1 token ids in the dataset's own
type, as many in each file but the last); `reading.json` (their number and shape, and what tells the
order and the dataset they were taken from). A run reads file after file, and one ahead, so that a
store such as S3 sees no other requests than for whole files, and no local copy is needed.
"""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curricle.core.errors import IntegrityError
from curricle.core.order_file import ORDER, Order, read_order
from curricle.core.plain import file_sha256, from_plain, to_plain
from curricle.core.reading import DatasetFacts, dataset_facts
from curricle.core.remote import open_filesystem, reachable
from curricle.core.token_dataset import TokenDataset, Tokens

READING = "reading.json"
# A reader holds two files, the writer one. Seconds of a fast GPU's reading, and large enough that a
# store's answer time doesn't count.
FILE_BYTES = 1 << 25
_BLOCK = 1024


def materialise(dataset: TokenDataset, order_folder: Path, folder: Path) -> dict[str, int]:
    """Write the samples of an order into `folder`; returns the numbers of files and bytes.

    Out of core: a file at a time is in memory, and its samples are looked up in the order in which
    they lie in the dataset.
    """
    order = read_order(order_folder, len(dataset), mapped=True)
    dtype = np.dtype(dataset.manifest["dtype"])
    row_bytes = (dataset.sequence_length + 1) * dtype.itemsize
    per_file = max(1, FILE_BYTES // row_bytes)
    starts = range(0, len(order), per_file)
    for number, start in enumerate(starts):
        rows = _gathered(dataset, order[start : start + per_file], dtype)
        rows.tofile(folder / _file_name(number))
    facts = {
        "format": 1,
        "dtype": dtype.str,
        "sequence_length": dataset.sequence_length,
        "samples": len(order),
        "samples_per_file": per_file,
        "order": file_sha256(order_folder / ORDER),
        "dataset": to_plain(dataset_facts(dataset)),
    }
    (folder / READING).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return {"files": len(starts), "bytes": len(order) * row_bytes}


class MaterialisedReading:
    """The samples of the order in `order`, streamed from a materialised one at `address`.

    `address` is a local path or an fsspec URL. Raises IntegrityError if that holds the samples of
    another order, or a file of another size than it says; InputError if it can't be read.
    """

    def __init__(self, address: str, order: Path, sequence_length: int) -> None:
        self._address = address
        with reachable(address):
            self._store, self._folder = open_filesystem(address)
            facts = json.loads(self._store.cat_file(f"{self._folder}/{READING}"))
        expected = {"sequence_length": sequence_length, "order": file_sha256(order / ORDER)}
        if {key: facts[key] for key in expected} != expected:
            raise IntegrityError(f"{address}: not the samples of the order in {order}")
        self.dataset: DatasetFacts = from_plain(DatasetFacts, facts["dataset"])
        self.order: Order = read_order(order, self.dataset.samples)
        self._dtype, self._per_file = np.dtype(facts["dtype"]), int(facts["samples_per_file"])
        self._width = sequence_length + 1
        self._coming: dict[int, Future[npt.NDArray[Any]]] = {}
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")

    def read(self, places: Order) -> Tokens:
        """Token ids of the samples at these places; files before the first of them are let go."""
        numbers = places // self._per_file
        first = int(numbers.min())
        self._coming = {number: file for number, file in self._coming.items() if number >= first}
        windows = np.empty((len(places), self._width), dtype=np.int64)
        for number in np.unique(numbers):
            here = numbers == number
            windows[here] = self._file(int(number))[places[here] % self._per_file]
        return windows

    def _file(self, number: int) -> npt.NDArray[Any]:
        """The samples in a file; the one after it is asked for meanwhile."""
        last = (len(self.order) - 1) // self._per_file
        for wanted in range(number, min(number + 1, last) + 1):
            if wanted not in self._coming:
                self._coming[wanted] = self._ahead.submit(self._fetch, wanted)
        return self._coming[number].result()

    def _fetch(self, number: int) -> npt.NDArray[Any]:
        name = _file_name(number)
        with reachable(self._address):
            content = self._store.cat_file(f"{self._folder}/{name}")
        samples = min(self._per_file, len(self.order) - number * self._per_file)
        expected = samples * self._width * self._dtype.itemsize
        if len(content) != expected:
            raise IntegrityError(
                f"{self._address}/{name}: {len(content)} bytes where {expected} are expected"
            )
        return np.frombuffer(content, dtype=self._dtype).reshape(samples, self._width)


def _file_name(number: int) -> str:
    return f"samples-{number:05}.bin"


def _gathered(dataset: TokenDataset, samples: Order, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Token ids of the samples, looked up from the first to the last in the dataset."""
    by_sample = np.argsort(samples, kind="stable")
    rows = np.empty((len(samples), dataset.sequence_length + 1), dtype=dtype)
    for start in range(0, len(samples), _BLOCK):
        places = by_sample[start : start + _BLOCK]
        rows[places] = dataset.read(samples[places])
    return rows
