"""The spectrum's tokenizer: one token a word, in the format of Hugging Face's `tokenizers`."""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from curricle.recipes.spectrum.words import END_OF_TEXT, UNKNOWN, vocabulary


def spectrum_tokenizer() -> Tokenizer:
    """Words between white space; any word outside the vocabulary is `<unk>`."""
    words = {word: index for index, word in enumerate(vocabulary())}
    tokenizer = Tokenizer(WordLevel(words, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens([END_OF_TEXT, UNKNOWN])
    return tokenizer
