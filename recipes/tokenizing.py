"""The tokenizer that all recipes of a study share: trained on the base corpus, or given.

The token that ends documents (`<|endoftext|>`, id 0, in a trained one) only ever comes from the
packer: text that spells it out is encoded as the bytes it is made of, since `load_tokenizer`
switches the recognition of special tokens off (the file itself stays an ordinary tokenizer.json
with a special token).

`tokenizers` encodes on all cores unless TOKENIZERS_PARALLELISM says otherwise. It is left unset:
set to true, a process forked later could deadlock; unset, the library turns it off there itself.
"""

import hashlib
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

# Documents encoded at once: enough to keep all cores busy, few enough to bound the memory.
BATCH_DOCUMENTS = 512

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
    """A byte-level BPE tokenizer (GPT-2's splitting into words) of at most that many tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def _write(tokenizer: Tokenizer, folder: Path) -> dict[str, Any]:
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
    return {"vocabulary_size": vocabulary_size(tokenizer), "sha256": tokenizer_digest(folder)}


def tokenizer_digest(folder: Path) -> str:
    """SHA-256 of the stored tokenizer."""
    return hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest()


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[Tokens]:
    """Token ids of each text, without an end-of-text token; shape (tokens,) each."""
    for start in range(0, len(texts), BATCH_DOCUMENTS):
        batch = list(texts[start : start + BATCH_DOCUMENTS])
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            yield np.asarray(encoding.ids, dtype=np.uint32)


def decode(tokenizer: Tokenizer, tokens: Iterable[int]) -> str:
    """The text of `tokens`; exact for what `encode` made of whole texts."""
    return str(tokenizer.decode([int(token) for token in tokens], skip_special_tokens=False))
