"""Documents' tokens on disk while a dataset is made, so that it may be larger than memory."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.document_file import Documents, Shard
from curricle.recipes.engine import IN_PROCESS, Engine
from curricle.recipes.token_library import TokenLibrary
from curricle.recipes.tokenizing import Tokens, encode

COLUMNS = ("id", "domain", "source")
TOKEN_BYTES = 4

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenSpool:
    """The tokens of every document of a table, and what else a dataset needs of it but the text.

    `documents` has the columns id, domain and source; `bytes` and `lengths` are (documents,), the
    lengths without an end-of-text token; token i of document d is number ends[d] - lengths[d] + i
    of `stream`.
    """

    documents: pa.Table
    bytes: Integers
    lengths: Integers
    ends: Integers
    stream: BinaryIO

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def domains(self) -> list[str]:
        """The domains, sorted."""
        return sorted(pc.unique(self.documents["domain"]).to_pylist())

    def domain_codes(self) -> Integers:
        """For each document the index of its domain in `domains`."""
        codes = pc.index_in(self.documents["domain"], pa.array(self.domains, pa.string()))
        return np.asarray(codes.to_numpy(), dtype=np.int64)

    def read(self, row: int) -> Tokens:
        """Tokens of a document."""
        size = TOKEN_BYTES * int(self.lengths[row])
        start = TOKEN_BYTES * int(self.ends[row]) - size
        return np.frombuffer(os.pread(self.stream.fileno(), size, start), dtype=np.uint32)


class ShardTokens(NamedTuple):
    """What a shard adds to the spool; `tokens` of all its documents, in turn."""

    documents: pa.Table
    bytes: Integers
    lengths: Integers
    tokens: Tokens


def tokenize(
    documents: Documents,
    tokenizer: Path,
    stream: BinaryIO,
    library: Path | None = None,
    engine: Engine = IN_PROCESS,
) -> TokenSpool:
    """Tokenize all texts into `stream`, which must stay open while the result is used.

    `tokenizer` is the folder of a stored one. Tokens of texts that the `library` knows are taken
    from there.
    """
    parts = [_empty(documents)]
    shards = [shard for shard in documents.shards() if shard.rows]
    for part in engine.map(functools.partial(_tokenize, tokenizer, library), shards):
        stream.write(part.tokens.data)
        parts.append(part._replace(tokens=parts[0].tokens))
    stream.flush()
    lengths = np.concatenate([part.lengths for part in parts])
    return TokenSpool(
        pa.concat_tables([part.documents for part in parts]),
        np.concatenate([part.bytes for part in parts]),
        lengths,
        np.cumsum(lengths),
        stream,
    )


def _tokenize(tokenizer: Path, library: Path | None, shard: Shard) -> ShardTokens:
    loaded = load_tokenizer(tokenizer)
    known = TokenLibrary(library, loaded) if library else None
    tables: list[pa.Table] = []
    sizes: list[Integers] = [np.empty(0, np.int64)]
    tokens: list[Tokens] = [np.empty(0, np.uint32)]
    for batch in shard.batches([*COLUMNS, "text"]):
        tables.append(batch.table.select(COLUMNS))
        sizes.append(pc.binary_length(batch.table["text"]).to_numpy().astype(np.int64))
        tokens += known.encode(batch.texts) if known else encode(loaded, batch.texts)
    lengths = np.array([len(each) for each in tokens[1:]], np.int64)
    return ShardTokens(
        pa.concat_tables(tables), np.concatenate(sizes), lengths, np.concatenate(tokens)
    )


def _empty(documents: Documents) -> ShardTokens:
    none = np.empty(0, np.int64)
    columns = documents.schema.empty_table().select(COLUMNS)
    return ShardTokens(columns, none, none, np.empty(0, np.uint32))
