"""The stored tokenizer: an ordinary `tokenizer.json`, read by recipes and models alike."""

from pathlib import Path

from tokenizers import Tokenizer

from curricle.core.errors import IntegrityError

TOKENIZER = "tokenizer.json"


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer stored in `folder`. Raises IntegrityError if its file can't be read."""
    try:
        text = (folder / TOKENIZER).read_text(encoding="utf-8")
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises plain Exception
        raise IntegrityError(f"{folder / TOKENIZER}: {error}") from None
    # Text that spells out a special token is text.
    tokenizer.encode_special_tokens = True
    return tokenizer
