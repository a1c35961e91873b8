import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.made_up import apply, prose, table_of

from curricle.recipes.specs.steps import ShuffleLetters, ShuffleWords
from curricle.recipes.steps.shuffling import permute_letters, permute_words

LETTERS = ShuffleLetters(step="shuffle-letters")
WORDS = ShuffleWords(step="shuffle-words")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
SEEDS = st.integers(0, 2**32 - 1)


@given(TEXT, SEEDS)
def test_letters_move_inside_their_word_and_every_word_changes(text: str, seed: int) -> None:
    shuffled = permute_letters(text, np.random.default_rng(seed))
    run = re.compile(r"[^\W\d_]+")
    assert run.sub("", shuffled) == run.sub("", text)
    before, after = list(run.finditer(text)), list(run.finditer(shuffled))
    assert [match.span() for match in before] == [match.span() for match in after]
    for old, new in zip(before, after, strict=True):
        assert Counter(old[0]) == Counter(new[0])
        assert (old[0] != new[0]) == (len(set(old[0])) > 1)


@given(TEXT, SEEDS)
def test_words_move_and_white_space_stays(text: str, seed: int) -> None:
    shuffled = permute_words(text, np.random.default_rng(seed))
    assert Counter(shuffled.split()) == Counter(text.split())
    assert re.findall(r"\s+", shuffled) == re.findall(r"\s+", text)
    lines = zip(shuffled.split("\n"), text.split("\n"), strict=True)
    assert all(len(new.split()) == len(old.split()) for new, old in lines)
    assert bool(re.match(r"\s", shuffled)) == bool(re.match(r"\s", text))


def test_all_permutations_of_letters_that_change_a_word_occur() -> None:
    seen = {permute_letters("abc", np.random.default_rng(seed)) for seed in range(200)}
    assert seen == {"acb", "bac", "bca", "cab", "cba"}


@pytest.mark.parametrize("step", [LETTERS, WORDS])
def test_a_shuffle_depends_on_seed_and_id_alone(step: ShuffleLetters | ShuffleWords) -> None:
    texts = {str(number): prose(number) for number in range(6)}
    documents = table_of(texts)
    whole = apply(step, documents, 3).table
    halves = [apply(step, part, 3).table for part in (documents[:2], documents[2:])]
    assert whole.equals(pa.concat_tables(halves))
    assert whole.schema == documents.schema
    other_seed = apply(step, documents, 4).table
    assert not set(whole["text"].to_pylist()) & set(other_seed["text"].to_pylist())
    same_text = apply(step, table_of({"a": prose(1), "b": prose(1)}), 3).table
    assert len(set(same_text["text"].to_pylist())) == 2
