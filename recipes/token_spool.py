"""Documents' tokens on disk while a dataset is made, so that it may be larger than memory."""

import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from curricle.recipes.document_file import Documents
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


def tokenize(
    documents: Documents, tokenizer: Tokenizer, stream: BinaryIO, library: Path | None = None
) -> TokenSpool:
    """Tokenize all texts into `stream`, which must stay open while the result is used.

    Tokens of texts that the `library` knows are taken from there.
    """
    known = TokenLibrary(library, tokenizer) if library else None
    tables = [documents.schema.empty_table().select(COLUMNS)]
    sizes, lengths = array("q"), array("q")
    for batch in documents.batches([*COLUMNS, "text"]):
        tables.append(batch.table.select(COLUMNS))
        sizes.extend(pc.binary_length(batch.table["text"]).to_pylist())
        texts = batch.texts
        for tokens in known.encode(texts) if known else encode(tokenizer, texts):
            stream.write(tokens.tobytes())
            lengths.append(len(tokens))
    stream.flush()
    counts = np.array(lengths, dtype=np.int64)
    return TokenSpool(
        pa.concat_tables(tables), np.array(sizes, dtype=np.int64), counts, np.cumsum(counts), stream
    )
