"""How many bytes of text each token of a tokenizer stands for."""

from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from curricle.core.errors import InputError


def token_byte_lengths(tokenizer: Tokenizer) -> npt.NDArray[np.int64]:
    """Bytes of text of each token id, shape (vocabulary,); 0 for special tokens.

    In a byte-level vocabulary one character of a token's name stands for one byte; tokens that were
    added to it are spelt out. Raises InputError for a vocabulary that isn't byte-level, whose
    tokens have no bytes of their own.
    """
    added = tokenizer.get_added_tokens_decoder()
    names: dict[str, Any] = tokenizer.get_vocab()
    alphabet = set(ByteLevel.alphabet())
    lengths = np.zeros(max(names.values()) + 1, dtype=np.int64)
    for name, index in names.items():
        if index in added:
            lengths[index] = 0 if added[index].special else len(name.encode())
        elif alphabet.issuperset(name):
            lengths[index] = len(name)
        else:
            raise InputError(
                f"token {name!r} of a vocabulary that isn't byte-level",
                expected="a byte-level tokenizer, as GPT-2's and curricle's own are",
                fix="evaluate on text instead of token ids",
            )
    return lengths
