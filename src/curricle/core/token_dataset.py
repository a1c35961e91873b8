"""The dataset format: token shards of one domain each, a document table, a manifest.

Files: `tokens-<domain>-<number>.bin` (little-endian uint16, or uint32 from 65,536 words on), every
document ended by the end-of-text token; `documents.parquet` (id, domain, source, bytes, tokens,
shard, offset); `manifest.json`. A sample is one window of `sequence_length` predicted tokens within
one shard; sample ids are dense and run through the shards in the manifest's order.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import IntegrityError

MANIFEST, DOCUMENTS = "manifest.json", "documents.parquet"
DOCUMENT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("domain", pa.string()),
        ("source", pa.string()),
        ("bytes", pa.int64()),
        ("tokens", pa.int64()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
    ]
)
MAX_SHARD_TOKENS = 1 << 28
# Rows of the document table that wait in memory to be written.
WAITING_ROWS = 10_000

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenizedDocument:
    """One document ready to be packed; `tokens` without the end-of-text token."""

    id: str
    source: str
    bytes: int
    tokens: Sequence[int] | npt.NDArray[Any]


class DatasetWriter:
    """Writes the dataset format into a folder, one domain after the other, then the manifest."""

    def __init__(self, folder: Path, *, vocabulary_size: int, end_of_text: int) -> None:
        self._folder = folder
        self._dtype = np.dtype("<u2" if vocabulary_size < 65_536 else "<u4")
        self._vocabulary_size, self._end_of_text = vocabulary_size, end_of_text
        self._shards: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._totals: dict[str, dict[str, int]] = {}
        self._table = pq.ParquetWriter(folder / DOCUMENTS, DOCUMENT_SCHEMA, compression="zstd")

    def write_domain(self, domain: str, documents: Iterable[TokenizedDocument]) -> None:
        """Append all documents of one domain."""
        stream, shard = None, None
        try:
            for document in documents:
                tokens = np.full(len(document.tokens) + 1, self._end_of_text, dtype=self._dtype)
                tokens[:-1] = document.tokens
                if shard is None or shard["tokens"] + len(tokens) > MAX_SHARD_TOKENS:
                    if stream:
                        stream.close()
                    shard = self._new_shard(domain)
                    stream = (self._folder / shard["file"]).open("wb")
                assert stream is not None
                stream.write(tokens.tobytes())
                self._add_row(domain, document, len(tokens), shard)
        finally:
            if stream:
                stream.close()

    def finish(self, **manifest: Any) -> dict[str, Any]:
        """Write document table and manifest; returns the manifest.

        `manifest` adds keys such as `tokenizer`, `steps` or `dropped`.
        """
        self._write_rows()
        self._table.close()
        content = {
            "format": 1,
            "dtype": self._dtype.str,
            "vocabulary_size": self._vocabulary_size,
            "end_of_text": self._end_of_text,
            "shards": self._shards,
            "domains": self._totals,
            **manifest,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (self._folder / MANIFEST).write_text(text, encoding="utf-8")
        return content

    def _new_shard(self, domain: str) -> dict[str, Any]:
        number = sum(shard["domain"] == domain for shard in self._shards)
        name = f"tokens-{domain}-{number:05}.bin"
        self._shards.append({"file": name, "domain": domain, "tokens": 0})
        return self._shards[-1]

    def _add_row(
        self, domain: str, document: TokenizedDocument, tokens: int, shard: dict[str, Any]
    ) -> None:
        self._rows.append(
            {
                "id": document.id,
                "domain": domain,
                "source": document.source,
                "bytes": document.bytes,
                "tokens": tokens,
                "shard": shard["file"],
                "offset": shard["tokens"],
            }
        )
        shard["tokens"] += tokens
        entry = self._totals.setdefault(domain, {"documents": 0, "bytes": 0, "tokens": 0})
        entry["documents"] += 1
        entry["bytes"] += document.bytes
        entry["tokens"] += tokens
        if len(self._rows) >= WAITING_ROWS:
            self._write_rows()

    def _write_rows(self) -> None:
        table = pa.Table.from_pylist(self._rows, schema=DOCUMENT_SCHEMA)
        self._table.write_table(table)
        self._rows = []


class TokenDataset:
    """Memory-mapped samples of a dataset folder at one sequence length.

    Raises IntegrityError if the manifest is missing or a shard's size contradicts it.
    """

    def __init__(self, folder: Path, sequence_length: int) -> None:
        self.folder, self.sequence_length = folder, sequence_length
        self.manifest = read_manifest(folder)
        self.domains = sorted(self.manifest["domains"])
        dtype = np.dtype(self.manifest["dtype"])
        self._shards = [_map_shard(folder, shard, dtype) for shard in self.manifest["shards"]]
        counts = [max(len(shard) - 1, 0) // sequence_length for shard in self._shards]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def domain_of_samples(self) -> npt.NDArray[np.int16]:
        """For each sample the index of its domain in `domains`; shape (samples,)."""
        indices = [self.domains.index(shard["domain"]) for shard in self.manifest["shards"]]
        return np.repeat(np.asarray(indices, dtype=np.int16), np.diff(self._starts))

    def samples_by_shard(self) -> list[tuple[str, int]]:
        """Each shard's file and its number of samples, in the order of the sample ids."""
        counts = np.diff(self._starts).tolist()
        return [
            (entry["file"], count)
            for entry, count in zip(self.manifest["shards"], counts, strict=True)
        ]

    def tokens(self, shard: str, start: int, count: int) -> Tokens:
        """`count` token ids of the shard file `shard` from `start` on, int64 of shape (count,)."""
        files = [entry["file"] for entry in self.manifest["shards"]]
        return np.asarray(self._shards[files.index(shard)][start : start + count], dtype=np.int64)

    def read(self, samples: npt.NDArray[np.int64]) -> Tokens:
        """Token ids of the samples, int64 of shape (len(samples), sequence_length + 1).

        Row i holds inputs in all columns but the last and targets in all but the first.
        """
        shards = np.searchsorted(self._starts, samples, side="right") - 1
        length = self.sequence_length
        windows = np.empty((len(samples), length + 1), dtype=np.int64)
        for row, (sample, shard) in enumerate(zip(samples, shards, strict=True)):
            start = int(sample - self._starts[shard]) * length
            windows[row] = self._shards[shard][start : start + length + 1]
        return windows


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a dataset folder. Raises IntegrityError if it can't be read."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{folder / MANIFEST}: {error}") from None


def _map_shard(folder: Path, shard: dict[str, Any], dtype: np.dtype[Any]) -> Any:
    path = folder / shard["file"]
    expected = shard["tokens"] * dtype.itemsize
    found = path.stat().st_size if path.exists() else None
    if found != expected:
        raise IntegrityError(f"{path}: {found} bytes where the manifest says {expected}")
    return np.memmap(path, dtype=dtype, mode="r")
