import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricle.recipes import pieces
from curricle.recipes.codepoints import to_code_points
from curricle.recipes.text_statistics.words import STOP_WORDS, count_sentences, words_of
from curricle.recipes.words import word_spans

# What spaCy 3.8's English tokenizer makes of them, white space left out.
SPACY = {
    "Bob's foo(bar)[0]->x, $x_1$ can't stop": ("Bob|'s|foo(bar)[0]->x|,|$|x_1|$|ca|n't|stop"),
    "(see e.g. Mr. Smith, U.S. 3.14).": "(|see|e.g.|Mr.|Smith|,|U.S.|3.14|)|.",
    "well-known a,b 1,000 3*4 x=y either/or": "well|-|known|a|,|b|1,000|3|*|4|x|=|y|either|/|or",
    "http://foo.com/x?y=1, wait... what...ever": ("http://foo.com/x?y=1|,|wait|...|what|...|ever"),
    "**bold** word--word ``quoted'' end": "*|*|bold|*|*|word|--|word|`|`|quoted|''|end",
    "-foo --bar foo_bar(_x_) 12$ 5% C++ x+": "-foo|--bar|foo_bar(_x|_|)|12|$|5|%|C++|x+",
    "def f(x): return {a: 1} == [b]": "def|f(x|):|return|{|a|:|1|}|=|=|[|b|]",
    "We'll say they're “here”, I'd bet.": "We|'ll|say|they|'re|“|here|”|,|I|'d|bet|.",
    "end.Start a.b lower.case": "end|.|Start|a.b|lower.case",
    "": "",
    "...": "...",
    ") (": ")|(",
}


def words_in(text: str) -> list[str]:
    starts, ends = word_spans(to_code_points(f"{text}\n"))
    return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


@pytest.mark.parametrize("text", SPACY)
def test_words_are_spacys(text: str) -> None:
    assert "|".join(words_in(text)) == SPACY[text]


@settings(deadline=None)
@given(st.text(st.sampled_from("ab'.-,:/(“…é中😀 \n\t1+$%*=#n'ts") | st.characters(), max_size=40))
def test_words_are_all_that_isnt_white_space(text: str) -> None:
    words = words_in(text)
    assert "".join(words) == "".join(text.split())
    assert not any(set(word) & {" ", "\n", "\t"} for word in words)
    assert all(words)


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("the of a.b! ...'s\n😀é"), max_size=60), max_size=5))
def test_counts_are_those_of_the_words_one_by_one(texts: list[str]) -> None:
    words = words_of(texts)
    for index, text in enumerate(texts):
        found = words_in(text)
        plain = [word for word in found if set(word) - set(".!'…")]
        assert words.counts[index] == len(found)
        assert words.plain[index] == len(plain)
        assert words.plain_characters[index] == sum(map(len, plain))
        assert words.alphabetic[index] == sum(any(map(str.isalpha, word)) for word in found)
        assert words.stop_words[index] == len(set(found) & set(STOP_WORDS))
    assert words.lengths.tolist() == [len(word) for text in texts for word in words_in(text)]


def test_long_texts_are_cut_without_losing_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the quick, brown fox -- it's 3.5 o'clock. " * 20, "", "and that"] * 3
    whole = words_of(texts)
    monkeypatch.setattr(pieces, "PORTION", 50)
    cut = words_of(texts)
    for name in ("hashes", "lengths", "counts", "plain", "alphabetic", "stop_words"):
        assert getattr(cut, name).tolist() == getattr(whole, name).tolist(), name


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("No mark", 1),
        ("One. Two! Three?", 3),
        ("Mr. Smith paid 3.14 pounds. (Really?) Yes.", 3),
        ('"Stop!" he said... and went. He did.', 3),
    ],
)
def test_sentences_end_at_terminal_marks(text: str, sentences: int) -> None:
    assert count_sentences([text]).tolist() == [sentences]
    assert count_sentences(["Before. ", text, "After"]).tolist() == [1, sentences, 1]
