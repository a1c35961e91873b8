"""Texts tokenized in parts against texts tokenized whole."""

import random

import pytest
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from curricle.models.encoding import can_split, encode_pairs, encode_texts, shared_start
from curricle.recipes.tokenizing import train

LETTERS = ["a", "B", "é", "’", "'s", "9", ":", "\n", "\n\n", " ", "  ", "🐎"]
LETTERS += ["\t", "\u00a0", "\u2028", "\x1c"]  # of which not everyone says that they are white


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(["Answer: A\n\nWhat is it's\n\n 99  a: B é"] * 5, 330)


def made_up(draw: random.Random, length: int) -> str:
    return "".join(draw.choices(LETTERS, k=length))


def test_texts_that_begin_alike_have_the_tokens_of_the_whole(tokenizer: Tokenizer) -> None:
    assert can_split(tokenizer)
    draw = random.Random(0)
    split = 0
    for _ in range(3000):
        beginning = made_up(draw, draw.randrange(12))
        texts = [beginning + made_up(draw, draw.randrange(8)) for _ in range(3)]
        expected = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        assert encode_texts(tokenizer, texts) == expected
        split += shared_start(texts) > 0
    assert split > 1000


def test_pairs_have_the_tokens_of_the_whole(tokenizer: Tokenizer) -> None:
    draw = random.Random(1)
    for _ in range(1000):
        contexts = [made_up(draw, 6), made_up(draw, 6)]
        pairs = [(context, made_up(draw, 2)) for context in contexts for _ in range(3)]
        expected = [
            (len(tokenizer.encode(context).ids), tokenizer.encode(context + rest).ids)
            for context, rest in pairs
        ]
        assert encode_pairs(tokenizer, pairs) == expected


def test_the_beginning_is_tokenized_once(tokenizer: Tokenizer) -> None:
    texts = [f"What is it's\n\n 99 {x}: B" for x in "aBé"]
    assert texts[0][: shared_start(texts)] == "What is it's\n\n 99"
    assert shared_start(["alone together"]) == len("alone")
    assert shared_start(["a", "b"]) == shared_start([]) == 0


@pytest.mark.parametrize("change", ["normalizer", "prefix", "pattern", "added", "special", "cut"])
def test_tokenizers_that_look_across_are_given_whole_texts(
    change: str, tokenizer: Tokenizer
) -> None:
    other = Tokenizer.from_str(tokenizer.to_str())
    other.encode_special_tokens = True
    assert can_split(other)
    if change == "normalizer":
        other.normalizer = normalizers.NFC()
    elif change == "prefix":
        other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    elif change == "pattern":
        other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    elif change == "added":
        other.add_tokens([AddedToken("a B")])
    elif change == "special":
        other.encode_special_tokens = False
    else:
        other.enable_truncation(5)
    assert not can_split(other)
    texts = ["What is a B", "What is a: B"]
    expected = [encoding.ids for encoding in other.encode_batch(texts)]
    assert encode_texts(other, texts) == expected
