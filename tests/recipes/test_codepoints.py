import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curricle.recipes.codepoints import (
    is_letter,
    is_word_character,
    lower,
    runs,
    to_code_points,
    to_text,
)


@given(st.text())
def test_text_survives(text: str) -> None:
    assert to_text(to_code_points(text)) == text


@given(st.text())
def test_characters_are_classed_as_by_the_standard_library(text: str) -> None:
    points = to_code_points(text)
    assert is_word_character(points).tolist() == [bool(re.match(r"\w", one)) for one in text]
    assert is_letter(points).tolist() == [bool(re.match(r"[^\W\d_]", one)) for one in text]
    assert to_text(lower(points)) == "".join(one.lower()[0] for one in text)


@given(st.lists(st.booleans()))
def test_runs_cover_exactly_what_is_true(mask: list[bool]) -> None:
    starts, ends = runs(np.array(mask, dtype=np.bool_))
    covered = [
        index for start, end in zip(starts, ends, strict=True) for index in range(start, end)
    ]
    assert covered == [index for index, value in enumerate(mask) if value]
    assert (starts[1:] > ends[:-1]).all()
