import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recipes.made_up import prose

from curricle.recipes import pieces
from curricle.recipes.text_statistics import STATISTICS, measure_texts


def one(name: str, text: str) -> float:
    return float(measure_texts([text], [name])[name][0])


def mtld_by_definition(words: list[str]) -> float:
    """McCarthy & Jarvis (2010): mean factor length, forwards and backwards."""

    def direction(sequence: list[str]) -> float:
        factors, start = 0.0, 0
        for end in range(1, len(sequence) + 1):
            part = sequence[start:end]
            if len(set(part)) / len(part) < 0.72:
                factors, start = factors + 1, end
        if rest := sequence[start:]:
            factors += (1 - len(set(rest)) / len(rest)) / (1 - 0.72)
        return len(sequence) / factors if factors else len(sequence)

    return (direction(words) + direction(words[::-1])) / 2


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=1, max_size=80))
def test_mtld_is_that_of_the_definition(words: list[str]) -> None:
    assert one("mtld", " ".join(words)) == pytest.approx(mtld_by_definition(words))


def test_diverse_text_has_a_higher_mtld() -> None:
    assert one("mtld", "spam " * 100) == pytest.approx(2, abs=0.1)
    assert one("mtld", "") == 0
    assert one("mtld", prose(1, 300)) > 20


def test_flesch_reading_ease_is_that_of_the_formula() -> None:
    # 6 words of 1 syllable, 1 sentence; 5 words of 2, 3, 1, 4, 2 = 12 syllables, 1 sentence.
    assert one("flesch-reading-ease", "The cat sat on the mat.") == pytest.approx(
        206.835 - 1.015 * 6 - 84.6
    )
    text = "Under conditions like generality, riding."
    assert one("flesch-reading-ease", text) == pytest.approx(206.835 - 1.015 * 5 - 84.6 * 13 / 5)
    assert one("flesch-reading-ease", "123 456") == 0


def test_compression_ratio_is_zlibs() -> None:
    text = prose(1, 500) + "é"
    expected = len(text.encode()) / len(zlib.compress(text.encode(), 6))
    assert one("compression-ratio", text) == expected
    assert one("compression-ratio", "spam " * 1000) > 50


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("characters", "abc\n", 4),
        ("words", "One, two - three!", 3),
        ("mean-word-length", "One, two - seven", 11 / 3),
        ("hashes-per-word", "# a b #c", 2 / 5),
        ("ellipses-per-word", "a... b… c", 2 / 5),
        ("bullet-line-share", "• a\n - b\nc\n", 2 / 3),
        ("ellipsis-line-share", "a... \nb\nc…\nd", 1 / 2),
        ("alphabetic-word-share", "a , 1 b2", 1 / 2),
        ("stop-words", "the the of The and", 3),
        ("punctuated-line-share", "One.\n\ntwo\n three!\nfour? \n", 1 / 2),
        ("short-line-share", f"{'x' * 30}\n{'x' * 31}\n \n", 1 / 2),
        ("repeated-line-character-share", "abcd\nab\nabcd\n", 4 / 10),
        ("newlines-per-word", "a\nb\n\n", 3 / 2),
    ],
)
def test_each_statistic_has_a_value_known_by_hand(name: str, text: str, value: float) -> None:
    assert one(name, text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "\n\n", " ", "a", "😀", "\0 \udfff.\n" * 3])
def test_every_statistic_of_every_text_is_a_number(text: str) -> None:
    found = measure_texts([text, "some words", text], list(STATISTICS))
    for name, values in found.items():
        assert values.shape == (3,), name
        assert np.all(np.isfinite(values)), name
        assert values[0] == values[2], name


def test_neighbours_dont_change_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [prose(seed, 20 + 7 * seed) + "é.\n\n- x…\n" * (seed % 4) for seed in range(12)]
    together = measure_texts(texts, list(STATISTICS))
    monkeypatch.setattr(pieces, "PORTION", 400)
    apart = measure_texts(texts, list(STATISTICS))
    for name in STATISTICS:
        assert apart[name] == pytest.approx(together[name], rel=1e-12), name


def test_no_texts_have_no_statistics() -> None:
    assert all(len(values) == 0 for values in measure_texts([], list(STATISTICS)).values())
