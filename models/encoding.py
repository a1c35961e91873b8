"""Token ids of many texts that begin alike, without tokenizing the beginning again and again.

GPT-2's byte-level pre-tokenizer cuts a text into pieces, each of which is tokenized by itself. In
its pattern white space stands only at the beginning of a piece, and it looks ahead, at white space
alone, but never back. So a piece ends wherever white space follows another character, and what
comes after it is cut as if it were a text of its own. Other tokenizers read every text whole.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

_WHITE = (" ", "\n")


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each of `texts`."""
    start = shared_start(texts) if can_split(tokenizer) else 0
    beginning = tokenizer.encode(texts[0][:start]).ids if start else []
    rest = tokenizer.encode_batch([text[start:] for text in texts])
    return [beginning + encoding.ids for encoding in rest]


def encode_pairs(
    tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]
) -> list[tuple[int, list[int]]]:
    """Of each (context, continuation): how many tokens the context has by itself, and the token ids
    of both together.
    """
    contexts = list(dict.fromkeys(context for context, _ in pairs))
    ids_of = dict(zip(contexts, encode_texts(tokenizer, contexts), strict=True))
    splits = can_split(tokenizer)
    apart = {pair for pair in pairs if splits and ends_between(*pair)}
    wholes = list(dict.fromkeys("".join(pair) for pair in pairs if pair not in apart))
    tails = list(dict.fromkeys(continuation for _, continuation in apart))
    whole_ids = dict(zip(wholes, encode_texts(tokenizer, wholes), strict=True))
    tail_ids = dict(zip(tails, encode_texts(tokenizer, tails), strict=True))
    return [
        (
            len(ids_of[pair[0]]),
            ids_of[pair[0]] + tail_ids[pair[1]] if pair in apart else whole_ids["".join(pair)],
        )
        for pair in pairs
    ]


def can_split(tokenizer: Tokenizer) -> bool:
    """Whether white space after another character always begins a text of its own."""
    cutter = tokenizer.pre_tokenizer
    added = tokenizer.get_added_tokens_decoder().values()
    return (
        isinstance(cutter, ByteLevel)
        and cutter.use_regex
        and not cutter.add_prefix_space
        and tokenizer.normalizer is None
        and tokenizer.num_special_tokens_to_add(False) == 0
        and tokenizer.truncation is None
        and tokenizer.padding is None
        # Tokens that are looked for in the text itself may lie across any place.
        and tokenizer.encode_special_tokens
        and all(token.special for token in added)
    )


def shared_start(texts: Sequence[str]) -> int:
    """The last place in what all of `texts` begin with where a piece ends; 0 if there is none."""
    if not texts:
        return 0
    first = min(texts)
    places = range(common_length(first, max(texts)) - 1, 0, -1)
    return next((at for at in places if ends_between(first[at - 1], first[at])), 0)


def common_length(first: Sequence[object], second: Sequence[object]) -> int:
    """How many entries two texts, or lists of tokens, begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def ends_between(left: str, right: str) -> bool:
    """Whether a piece ends between two texts that follow one another.

    Rare kinds of white space, on which patterns disagree, are left alone.
    """
    before = left[-1:]
    return right[:1] in _WHITE and before.isprintable() and bool(before.strip())
