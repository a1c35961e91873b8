"""Tokens of texts, found again by the text: what recipes of one corpus share is tokenized once.

Most recipes leave most texts as they are, and tokenizing costs more than all else that makes a
dataset. A library holds the tokens of the corpus' texts; what a recipe changed is tokenized anew.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from curricle.core.tokenizer_file import load_tokenizer, vocabulary_size
from curricle.recipes.document_file import Documents, Shard
from curricle.recipes.engine import IN_PROCESS, Engine
from curricle.recipes.tokenizing import Tokens, encode

TOKENS, DIGESTS, PLACES = "tokens.bin", "digests.npy", "places.npy"
# A text's digest is 128 bits: among a trillion texts no two are likely to share one.
_DIGEST = np.dtype([("first", "<u8"), ("second", "<u8")])

Digests = npt.NDArray[np.void]


class ShardTokens(NamedTuple):
    """A shard's texts: the tokens of all, in turn; how many each has and its digest, (texts,)."""

    tokens: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]
    digests: Digests


def build_library(
    documents: Path, tokenizer: Path, folder: Path, engine: Engine = IN_PROCESS
) -> dict[str, Any]:
    """Tokenize the texts of a document table; `tokenizer` is the folder of a stored one.

    In memory are 32 bytes a document.
    """
    digests, lengths = [_digests([])], [np.empty(0, np.int64)]
    with (folder / TOKENS).open("wb") as stream:
        work = functools.partial(_tokenize, tokenizer)
        for part in engine.map(work, Documents(documents).shards()):
            stream.write(part.tokens.tobytes())
            lengths.append(part.lengths)
            digests.append(part.digests)
    keys, counts_D = np.concatenate(digests), np.concatenate(lengths)
    order = np.argsort(keys, order=("first", "second"), kind="stable")
    starts = np.cumsum(counts_D) - counts_D
    np.save(folder / DIGESTS, keys[order])
    np.save(folder / PLACES, np.stack([starts[order], counts_D[order]], axis=1))
    return {"documents": len(keys), "tokens": int(counts_D.sum())}


def _tokenize(tokenizer: Path, shard: Shard) -> ShardTokens:
    loaded = load_tokenizer(tokenizer)
    tokens, digests = [np.empty(0, _dtype(loaded))], [_digests([])]
    for batch in shard.batches(["text"]):
        tokens += [each.astype(_dtype(loaded)) for each in encode(loaded, batch.texts)]
        digests.append(_digests(batch.texts))
    lengths = np.array([len(each) for each in tokens[1:]], np.int64)
    return ShardTokens(np.concatenate(tokens), lengths, np.concatenate(digests))


class TokenLibrary:
    """The texts that a stored library knows."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self._folder, self._tokenizer = folder, tokenizer

    def encode(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """Token ids of each text, as `tokenizing.encode` gives them."""
        known = self._find(texts)
        pairs = list(zip(texts, known, strict=True))
        rest = encode(self._tokenizer, [text for text, tokens in pairs if tokens is None])
        for tokens in known:
            yield next(rest) if tokens is None else tokens

    def _find(self, texts: Sequence[str]) -> list[Tokens | None]:
        wanted = _digests(texts)
        if not len(self._digests):
            return [None] * len(texts)
        rows = np.searchsorted(self._digests["first"], wanted["first"])
        rows = np.minimum(rows, len(self._digests) - 1)
        is_known = self._digests[rows] == wanted
        return [
            self._read(row) if known else None
            for row, known in zip(rows.tolist(), is_known.tolist(), strict=True)
        ]

    def _read(self, row: int) -> Tokens:
        start, count = self._places[row]
        return self._tokens[start : start + count].astype(np.uint32)

    @functools.cached_property
    def _digests(self) -> Digests:
        return np.asarray(np.load(self._folder / DIGESTS))

    @functools.cached_property
    def _places(self) -> npt.NDArray[np.int64]:
        """Start and number of each text's tokens; shape (texts, 2)."""
        return np.asarray(np.load(self._folder / PLACES))

    @functools.cached_property
    def _tokens(self) -> npt.NDArray[Any]:
        path = self._folder / TOKENS
        if not path.stat().st_size:
            return np.empty(0, np.uint32)
        return np.memmap(path, _dtype(self._tokenizer), mode="r")


def _digests(texts: Sequence[str]) -> Digests:
    digests = (hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(b"".join(digests), _DIGEST)


def _dtype(tokenizer: Tokenizer) -> np.dtype[Any]:
    return np.dtype("<u2" if vocabulary_size(tokenizer) <= 1 << 16 else "<u4")
