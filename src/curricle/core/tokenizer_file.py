"""The stored tokenizer: an ordinary `tokenizer.json`, read by recipes and models alike."""

from pathlib import Path

from tokenizers import Tokenizer

from curricle.core.errors import InputError, IntegrityError

TOKENIZER = "tokenizer.json"
# How published tokenizers call the token that ends a document.
END_OF_TEXT = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>")


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


def find_end_of_text(tokenizer: Tokenizer) -> int | None:
    """The token that ends a document, if the vocabulary has one with a known name."""
    found = (tokenizer.token_to_id(name) for name in END_OF_TEXT)
    return next((index for index in found if index is not None), None)


def end_of_text_id(tokenizer: Tokenizer) -> int:
    """The token that ends a document. Raises InputError if there is none with a known name."""
    index = find_end_of_text(tokenizer)
    if index is None:
        raise InputError(
            "a tokenizer without an end-of-text token",
            expected=f"one of {', '.join(END_OF_TEXT)} in its vocabulary",
            fix="choose another tokenizer, or add the token to this one",
        )
    return index


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """One more than the largest token id: there may be gaps."""
    return max(tokenizer.get_vocab().values()) + 1
