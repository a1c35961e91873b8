"""Reading a stored tokenizer, and how many bytes of text each of its tokens stands for."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from curricle.core.errors import IntegrityError

TOKENIZER = "tokenizer.json"


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of an artifact's folder. Raises IntegrityError if it can't be read."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:
        # The library raises bare Exception for a missing or damaged file.
        raise IntegrityError(f"{folder / TOKENIZER}: {error}") from None
    # Text that spells out a special token is text.
    tokenizer.encode_special_tokens = True
    return tokenizer


def token_byte_lengths(tokenizer: Tokenizer) -> npt.NDArray[np.int64]:
    """Bytes of text of each token id, shape (vocabulary,); 0 for special tokens.

    In a byte-level vocabulary one character of a token's name stands for one byte.
    """
    special = {
        index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }
    names: dict[str, Any] = tokenizer.get_vocab()
    lengths = np.zeros(max(names.values()) + 1, dtype=np.int64)
    for name, index in names.items():
        lengths[index] = 0 if index in special else len(name)
    return lengths
