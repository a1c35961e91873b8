import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curricle.recipes.codepoints import to_code_points
from curricle.recipes.hashing import span_hashes

WORDS = st.lists(
    st.text(
        st.sampled_from("abé中") | st.characters(min_codepoint=0xFFF0), min_size=1, max_size=90
    ),
    min_size=1,
    max_size=6,
)


def hashes_of(words: list[str], prefix: str = "") -> list[int]:
    lengths = np.array([len(word) for word in words])
    ends = np.cumsum(lengths + 1) - 1 + len(prefix)
    text = prefix + " ".join(words)
    return [int(one) for one in span_hashes(to_code_points(text), ends - lengths, ends)]


@settings(deadline=None)
@given(WORDS, st.sampled_from(["", "x ", "😀 "]))
def test_a_hash_depends_on_the_span_alone(words: list[str], prefix: str) -> None:
    assert hashes_of(words, prefix) == [hashes_of([word])[0] for word in words]


@settings(deadline=None)
@given(WORDS)
def test_hashes_are_equal_for_equal_spans_only(words: list[str]) -> None:
    meaning: dict[int, str] = {}
    for value, word in zip(hashes_of(words), words, strict=True):
        assert meaning.setdefault(value, word) == word


def test_planes_of_unicode_are_told_apart() -> None:
    words = ["\U0001f600", "\U0000f600", "\U0001f600\U0000f601", "\U0000f600\U0001f601"]
    assert len(set(hashes_of(words))) == 4
