"""MosaicML's streaming dataset: `<domain>/` with `shard.<n>.mds` and `index.json`; a sample is a
document with the columns id, source and tokens.

A shard, little-endian: how many samples (uint32), the samples' byte offsets and the last one's end
(uint32 each), the configuration as JSON, the samples. A sample: the sizes of its columns (uint32
each), then their contents in the columns' alphabetical order. An array of one dimension: a byte for
its number of dimensions and the type of its length, the length, the values.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curricle.recipes.exporting.stored_documents import StoredDocument

SHARD_BYTES = 1 << 26
_COLUMNS = ("id", "source", "tokens")
_ARRAY_TYPES = {"<u2": "uint16", "<u4": "uint32"}
# The codes of the types in which an array's length may be given.
_LENGTH_TYPES = ("<u1", "<u2", "<u4")


def write_mds(
    documents: Iterator[StoredDocument], domain: str, dtype: str, output: Path
) -> list[str]:
    """Write one domain; returns the files' names."""
    (output / domain).mkdir()
    config: dict[str, Any] = {
        "column_encodings": ["str", "str", f"ndarray:{_ARRAY_TYPES[dtype]}"],
        "column_names": list(_COLUMNS),
        "column_sizes": [None, None, None],
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": SHARD_BYTES,
        "version": 2,
    }
    shards: list[dict[str, Any]] = []
    for samples in _shards(documents):
        name = f"shard.{len(shards):05}.mds"
        content = _shard(samples, json.dumps(config, sort_keys=True).encode())
        (output / domain / name).write_bytes(content)
        file = {"basename": name, "bytes": len(content), "hashes": {}}
        shards.append({**config, "raw_data": file, "samples": len(samples), "zip_data": None})
    index = json.dumps({"shards": shards, "version": 2}, sort_keys=True)
    (output / domain / "index.json").write_text(index, encoding="utf-8")
    names = ["index.json", *(shard["raw_data"]["basename"] for shard in shards)]
    return [f"{domain}/{name}" for name in names]


def _shards(documents: Iterator[StoredDocument]) -> Iterator[list[bytes]]:
    samples: list[bytes] = []
    size = 0
    for document in documents:
        sample = _sample(document)
        if samples and size + len(sample) > SHARD_BYTES:
            yield samples
            samples, size = [], 0
        samples.append(sample)
        size += len(sample)
    if samples:
        yield samples


def _shard(samples: list[bytes], config: bytes) -> bytes:
    ends = np.cumsum([0, *map(len, samples)])
    offsets = ends + 4 + 4 * len(ends) + len(config)
    head = np.array([len(samples)], "<u4").tobytes() + offsets.astype("<u4").tobytes()
    return b"".join([head, config, *samples])


def _sample(document: StoredDocument) -> bytes:
    texts = [document.id.encode(), document.source.encode()]
    parts = [*texts, _array(document.tokens)]
    return b"".join([np.array([len(part) for part in parts], "<u4").tobytes(), *parts])


def _array(values: npt.NDArray[Any]) -> bytes:
    code = sum(len(values) >= limit for limit in (1 << 8, 1 << 16))
    length = np.array([len(values)], _LENGTH_TYPES[code])
    return bytes([1 << 2 | code]) + length.tobytes() + values.tobytes()
