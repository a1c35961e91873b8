"""The documents of a stored dataset, one domain after the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from curricle.core.token_dataset import DOCUMENTS, TokenDataset


class StoredDocument(NamedTuple):
    """A document of a dataset; `tokens` with the end-of-text token, in the dataset's type."""

    id: str
    source: str
    tokens: npt.NDArray[Any]


def stored_documents(folder: Path, domain: str) -> Iterator[StoredDocument]:
    """The documents of one domain in their order. Raises IntegrityError for a damaged dataset."""
    # Checks the shards against the manifest; the length of samples plays no part here.
    manifest = TokenDataset(folder, sequence_length=1).manifest
    dtype = np.dtype(manifest["dtype"])
    shards: dict[str, npt.NDArray[Any]] = {}
    with pq.ParquetFile(folder / DOCUMENTS) as table:
        for batch in table.iter_batches():
            for row in batch.to_pylist():
                if row["domain"] != domain:
                    continue
                if row["shard"] not in shards:
                    shards = {row["shard"]: np.memmap(folder / row["shard"], dtype, mode="r")}
                start = row["offset"]
                tokens = shards[row["shard"]][start : start + row["tokens"]]
                yield StoredDocument(row["id"], row["source"], tokens)
