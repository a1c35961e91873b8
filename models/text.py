"""How many bytes of text each token of a tokenizer stands for."""

from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer


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
