"""Held-out documents as an evaluation reads them: token ids, and the bytes they stand for."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from curricle.core.errors import InputError
from curricle.core.token_dataset import DOCUMENTS, TokenDataset
from curricle.models.text import token_byte_lengths

SHARES = 16
"""A document takes at most one part in so many of its domain's budget."""
_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Document:
    """One document: token ids without end-of-text, and the bytes of its text in UTF-8."""

    domain: str
    name: str
    tokens: npt.NDArray[np.int64]
    bytes: int


@dataclass(frozen=True)
class Text:
    """One document before tokenizing."""

    domain: str
    name: str
    text: str


class Budget:
    """How much of which documents is read where `tokens_per_domain` is all that is wanted.

    Documents count in the order in which they come. None reads past one part in `SHARES` of the
    budget, so that a few long ones don't speak for a domain. With None all are read to their end.
    """

    def __init__(self, tokens_per_domain: int | None) -> None:
        self._limit = tokens_per_domain
        self._used: Counter[str] = Counter()

    def take(self, domain: str, tokens: int) -> int:
        """How many of the next document's `tokens` are to be read; they are then used up."""
        if self._limit is None:
            return tokens
        share = -(-self._limit // SHARES)
        taken = min(tokens, share, self._limit - self._used[domain])
        self._used[domain] += taken
        return taken


def dataset_documents(
    folder: Path, tokenizer: Tokenizer, tokens_per_domain: int | None = None
) -> list[Document]:
    """Documents of a dataset folder; `tokenizer`, byte-level, counts the bytes of cut ones.

    A dataset's documents lie in random order, so that the first ones are a random choice, and the
    same one for every model. Raises InputError if one must be cut and the tokenizer is another.
    """
    dataset = TokenDataset(folder, sequence_length=1)
    lengths = functools.cache(lambda: token_byte_lengths(tokenizer))
    budget = Budget(tokens_per_domain)
    documents = []
    for row in pq.read_table(folder / DOCUMENTS).to_pylist():
        whole = row["tokens"] - 1  # the last one is end-of-text
        count = budget.take(row["domain"], whole)
        if count or not whole:
            tokens = dataset.tokens(row["shard"], row["offset"], count)
            size = row["bytes"] if count == whole else _bytes_of(tokens, lengths())
            documents.append(Document(row["domain"], row["id"], tokens, size))
    return documents


def _bytes_of(tokens: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> int:
    if tokens.max(initial=0) >= len(lengths):
        raise InputError(
            f"held-out data with token {tokens.max()} for a tokenizer of {len(lengths)}",
            expected="the tokenizer that the data was made with",
            fix="give that one, or ask for all tokens of each domain",
        )
    return int(lengths[tokens].sum())


def text_documents(
    texts: Sequence[Text], tokenizer: Tokenizer, tokens_per_domain: int | None = None
) -> list[Document]:
    """`texts` in any tokenizer's tokens, without special ones.

    The bytes of a cut text end with the character that its last token ends in.
    """
    budget = Budget(tokens_per_domain)
    documents = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        batch = texts[start : start + _TEXTS_AT_ONCE]
        encodings = tokenizer.encode_batch([item.text for item in batch], add_special_tokens=False)
        for item, encoding in zip(batch, encodings, strict=True):
            whole = len(encoding.ids)
            count = budget.take(item.domain, whole)
            if count or not whole:
                end = encoding.offsets[count - 1][1] if count < whole else len(item.text)
                tokens = np.asarray(encoding.ids[:count], dtype=np.int64)
                size = len(item.text[:end].encode())
                documents.append(Document(item.domain, item.name, tokens, size))
    return documents
