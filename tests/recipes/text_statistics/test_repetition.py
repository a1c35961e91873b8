"""Against the definitions, written down as loops over strings."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recipes.made_up import prose

from curricle.recipes.text_statistics import measure_texts
from curricle.recipes.text_statistics.repetition import (
    DUPLICATE_NGRAMS,
    TOP_NGRAMS,
    duplicated_parts,
)

WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "d"]), max_size=60).map(" ".join)
NAMES = [
    *(f"top-{size}-gram-character-share" for size in TOP_NGRAMS),
    *(f"duplicate-{size}-gram-character-share" for size in DUPLICATE_NGRAMS),
]


def top_share(text: str, size: int) -> float:
    words = text.split()
    grams = [" ".join(words[at : at + size]) for at in range(len(words) - size + 1)]
    if not grams:
        return 0.0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count / len(text)


def duplicate_share(text: str, size: int) -> float:
    words = text.split()
    seen, characters, at = set(), 0, 0
    while at + size <= len(words):
        gram = tuple(words[at : at + size])
        if gram in seen:
            characters += sum(map(len, gram))
            at += size
        else:
            seen.add(gram)
            at += 1
    return characters / max(len(text), 1)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4))
def test_shares_of_ngrams_are_those_of_the_definition(texts: list[str]) -> None:
    found = measure_texts(texts, NAMES)
    for index, text in enumerate(texts):
        for size in TOP_NGRAMS:
            name = f"top-{size}-gram-character-share"
            assert found[name][index] == pytest.approx(top_share(text, size)), name
        for size in DUPLICATE_NGRAMS:
            name = f"duplicate-{size}-gram-character-share"
            assert found[name][index] == pytest.approx(duplicate_share(text, size)), name


def test_a_long_text_is_measured_like_a_short_one() -> None:
    text = prose(1, 3000) + prose(2, 500) + prose(1, 600)
    plain = "".join(one if one.isalpha() else " " for one in text)
    found = measure_texts([plain], NAMES)
    for size in DUPLICATE_NGRAMS:
        share = duplicate_share(plain, size)
        assert found[f"duplicate-{size}-gram-character-share"][0] == pytest.approx(share)
        assert share > 0.1


def test_repeated_lines_and_paragraphs() -> None:
    text = "a line\nb\n\na line\nb\n\nc"
    shares = {name: values[0] for name, values in duplicated_parts([text]).items()}
    characters = len(text)
    assert shares == {
        "duplicate-paragraph-share": pytest.approx(1 / 3),
        "duplicate-paragraph-character-share": pytest.approx(8 / characters),
        "duplicate-line-share": pytest.approx(2 / 5),
        "duplicate-line-character-share": pytest.approx(7 / characters),
    }


def test_texts_dont_share_ngrams() -> None:
    texts = ["one two three four five six seven"] * 3
    found = measure_texts(texts, NAMES)
    assert all(np.all(found[f"duplicate-{size}-gram-character-share"] == 0) for size in (5, 6, 7))


def test_texts_are_measured_alike_whatever_stands_beside_them() -> None:
    """Single marks as words: their hashes and the texts' places come out of the same mixing."""
    texts = [f"{chr(place ^ 1)} x " * 3 if 34 <= place < 126 else "x yy " for place in range(160)]
    together = measure_texts(texts, NAMES)
    for place, text in enumerate(texts):
        alone = measure_texts([text], NAMES)
        for name in NAMES:
            assert together[name][place] == alone[name][0], (place, text, name)
