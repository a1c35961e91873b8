"""The tokenizer that all recipes of a study share: trained on the base corpus, or given.

The token that ends documents (`<|endoftext|>`, id 0, in a trained one) only ever comes from the
packer: text that spells it out is encoded as the bytes it is made of, since `load_tokenizer`
switches the recognition of special tokens off (the file itself stays an ordinary tokenizer.json
with a special token).

`tokenizers` encodes on all cores unless TOKENIZERS_PARALLELISM says otherwise. It is left unset:
set to true, a process forked later could deadlock; unset, the library turns it off there itself.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from curricle.core.tokenizer_file import TOKENIZER, end_of_text_id, vocabulary_size
from curricle.recipes.document_file import Documents
from curricle.recipes.specs.recipe import TokenizerSpec

END_OF_TEXT, END_OF_TEXT_ID = "<|endoftext|>", 0

# Texts encoded at once: enough to keep all cores busy, few enough to bound the memory, of which
# `tokenizers` takes 115 times the text's.
BATCH_DOCUMENTS, BATCH_CHARACTERS = 512, 2 << 20
# GPT-2's splitting into words starts a new one at a space or line end after a letter or digit, so
# that what stands before and behind is encoded alike alone.
_WORD_END = re.compile(r"(?<=[^\W_])[ \n]")
# Where so many more characters have no such place, they are cut all the same: a single word of a
# hundred million would take gigabytes.
WORD_CHARACTERS = 1 << 20

# Normalisation, added or removed spaces and unknown characters all show in these.
HOSTILE_TEXTS = (
    " two  spaces\t\r\n",
    "Caf\u00e9 cafe\u0301 \ufb01 \u212b \u0130",
    "\ufeff\u200b\u202e\ufffd\U0001f469\u200d\U0001f4bb \U00020000",
    END_OF_TEXT,
)

Tokens = npt.NDArray[np.uint32]


def build_tokenizer(spec: TokenizerSpec, documents: Path, folder: Path) -> dict[str, Any]:
    """Train on a document table and write `tokenizer.json`; the same documents give the same file.

    The facts name the vocabulary's size, which is below `spec.vocabulary_size` if the documents
    have too few distinct pairs of bytes, the training documents and the file's SHA-256.
    """
    seen = 0

    def texts() -> Iterator[str]:
        nonlocal seen
        for batch in Documents(documents).batches(["text"]):
            seen += batch.table.num_rows
            yield from batch.texts

    tokenizer = train(texts(), spec.vocabulary_size)
    size = tokenizer.get_vocab_size()
    return {
        **_write(tokenizer, folder),
        "requested_vocabulary_size": spec.vocabulary_size,
        "is_smaller_than_requested": size < spec.vocabulary_size,
        "documents": seen,
    }


def store_tokenizer(tokenizer: Tokenizer, folder: Path) -> dict[str, Any]:
    """Write a given tokenizer as `tokenizer.json`.

    The facts say whether hostile text comes back from it unchanged. Raises InputError if it has no
    end-of-text token.
    """
    end_of_text_id(tokenizer)
    tokens = encode(tokenizer, HOSTILE_TEXTS)
    decoded = [decode(tokenizer, ids) for ids in tokens]
    return {**_write(tokenizer, folder), "is_lossless": decoded == list(HOSTILE_TEXTS)}


def train(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer (GPT-2's splitting into words) of at most that many tokens.

    Long texts are read in pieces, as `encode` does; those that had to be cut inside a word are left
    out, as nothing is learnt from them.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces = (piece for text in texts for piece, _ in _pieces(text, BATCH_CHARACTERS))
    longest = BATCH_CHARACTERS + WORD_CHARACTERS
    tokenizer.train_from_iterator((piece for piece in pieces if len(piece) < longest), trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def _write(tokenizer: Tokenizer, folder: Path) -> dict[str, Any]:
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
    return {"vocabulary_size": vocabulary_size(tokenizer), "sha256": tokenizer_digest(folder)}


def tokenizer_digest(folder: Path) -> str:
    """SHA-256 of the stored tokenizer."""
    return hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest()


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[Tokens]:
    """Token ids of each text, without an end-of-text token; shape (tokens,) each.

    Long texts are encoded in pieces where the tokenizer allows it, with the same result; a word of
    millions of characters, in pieces of its own.
    """
    begun: list[Tokens] = []
    for batch in _batches(texts, BATCH_CHARACTERS if _splits_words(tokenizer) else None):
        encodings = tokenizer.encode_batch_fast(
            [text for text, _ in batch], add_special_tokens=False
        )
        for encoding, (_, is_last) in zip(encodings, batch, strict=True):
            begun.append(np.asarray(encoding.ids, dtype=np.uint32))
            if is_last:
                yield begun[0] if len(begun) == 1 else np.concatenate(begun)
                begun = []


def _splits_words(tokenizer: Tokenizer) -> bool:
    """Whether texts are split as GPT-2's are, and nothing is done to them before."""
    splitter: Any = tokenizer.pre_tokenizer
    if not isinstance(splitter, ByteLevel) or tokenizer.normalizer is not None:
        return False
    return bool(splitter.use_regex and not splitter.add_prefix_space)


def _batches(texts: Iterable[str], piece: int | None) -> Iterator[list[tuple[str, bool]]]:
    """Pieces of texts, each with whether it is its text's last, in lists of a bounded size."""
    batch: list[tuple[str, bool]] = []
    characters = 0
    for text in texts:
        for part in _pieces(text, piece):
            batch.append(part)
            characters += len(part[0])
            if characters >= BATCH_CHARACTERS or len(batch) == BATCH_DOCUMENTS:
                yield batch
                batch, characters = [], 0
    if batch:
        yield batch


def _pieces(text: str, piece: int | None) -> Iterator[tuple[str, bool]]:
    start = 0
    while piece is not None and len(text) - start > piece:
        latest = start + piece + WORD_CHARACTERS
        found = _WORD_END.search(text, start + piece, latest)
        end = found.start() if found else latest
        if end >= len(text):
            break
        yield text[start:end], False
        start = end
    yield text[start:], True


def decode(tokenizer: Tokenizer, tokens: Iterable[int]) -> str:
    """The text of `tokens`; exact for what `encode` made of whole texts."""
    return str(tokenizer.decode([int(token) for token in tokens], skip_special_tokens=False))
