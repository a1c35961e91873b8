import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.recipes import pieces
from curricle.recipes.codepoints import to_text
from curricle.recipes.pieces import batches, cut, portions

TEXT = st.text(st.sampled_from("ab \n"), max_size=60)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PORTION", 8)


@given(TEXT)
def test_pieces_are_the_text_and_cut_no_word_that_fits(text: str) -> None:
    found = list(cut(text))
    assert "".join(found) == text
    assert all(len(piece) <= 8 for piece in found)
    if max(map(len, text.split()), default=0) < 8:
        assert [word for piece in found for word in piece.split()] == text.split()


@given(st.lists(TEXT, max_size=5))
def test_portions_know_whose_characters_they_hold(texts: list[str]) -> None:
    put_together = [""] * len(texts)
    for portion in portions(texts):
        content = to_text(portion.code_points)
        for owner, start, end in zip(
            portion.texts, portion.bounds[:-1], portion.bounds[1:], strict=True
        ):
            put_together[owner] += content[start : end - 1]
            assert content[end - 1] == "\n"
        places = portion.bounds[:-1]
        assert portion.texts_of(places).tolist() == portion.texts.tolist()
    assert put_together == texts


@given(st.lists(TEXT, max_size=9))
def test_batches_hold_whole_texts(texts: list[str]) -> None:
    found = list(batches(texts))
    assert [text for batch in found for text in batch] == texts
    assert all(sum(map(len, batch)) >= 8 for batch in found[:-1])
