import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.made_up import word_ngrams

from curricle.recipes import pieces
from curricle.recipes.shingles import Shingles, shingle

WORD_TEXT = st.text(st.sampled_from("abAB1_ .é\nß中"), max_size=40)


def _of(all_shingles: Shingles, document: int) -> list[int]:
    start, end = all_shingles.offsets[document : document + 2]
    return [int(value) for value in all_shingles.hashes[start:end]]


@given(st.lists(WORD_TEXT, max_size=6), st.integers(1, 4))
def test_hashes_stand_for_the_same_n_grams_as_tuples_of_words(texts: list[str], ngram: int) -> None:
    hashed = shingle(texts, ngram)
    assert len(hashed) == len(texts)
    meaning: dict[int, tuple[str, ...]] = {}
    for document, text in enumerate(texts):
        expected, found = word_ngrams(text, ngram), _of(hashed, document)
        assert len(found) == len(expected)
        for value, words in zip(found, expected, strict=True):
            assert meaning.setdefault(value, words) == words
    assert len(set(meaning.values())) == len(meaning)


@pytest.mark.parametrize("characters", [7, 20, 50])
def test_batches_dont_change_the_hashes(monkeypatch: pytest.MonkeyPatch, characters: int) -> None:
    texts = [f"some words of text number {number} and more" for number in range(20)] + ["", "one"]
    whole = shingle(texts, 3)
    monkeypatch.setattr(pieces, "PORTION", characters)
    batched = shingle(texts, 3)
    assert np.array_equal(whole.hashes, batched.hashes)
    assert np.array_equal(whole.offsets, batched.offsets)


def test_taking_documents_keeps_their_shingles() -> None:
    hashed = shingle(["a b c d", "", "e f g", "h"], 2)
    taken = hashed.take(np.array([2, 0, 1]))
    assert [_of(taken, 0), _of(taken, 1), _of(taken, 2)] == [_of(hashed, 2), _of(hashed, 0), []]


def test_sums_are_equal_for_equal_shingles() -> None:
    one, same, other, none = shingle(["a b c", "A, b: c!", "a b", "..."], 2).sums().tolist()
    assert one == same != other
    assert none == 0


def test_no_documents_have_no_shingles() -> None:
    assert len(shingle([], 5)) == 0
