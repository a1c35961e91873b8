import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.made_up import prose, table_of

from curricle.recipes.documents import Drops
from curricle.recipes.specs.steps import QualityFilter
from curricle.recipes.steps import apply_step
from curricle.recipes.steps.quality import duplicate_line_fraction, reason_to_drop

FILTER = QualityFilter(step="quality-filter")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (prose(1), None),
        ("", "few-words"),
        ("nineteen " * 19, "few-words"),
        ("a " * 30, "short-words"),
        ("extraordinarily " * 30, "long-words"),
        ("# " * 10 + prose(1), None),
        ("word # # text " * 20, "many-symbols"),
        ("word ... … text " * 20, "many-symbols"),
        ("the same line of words\n" * 2 + prose(1), None),
        ("the same line of words\n" * 8, "repeated-lines"),
        ("spam " * 100, "few-distinct-words"),
    ],
)
def test_the_first_broken_rule_is_the_reason(text: str, reason: str | None) -> None:
    assert reason_to_drop(FILTER, text) == reason


@pytest.mark.parametrize(
    ("setting", "value", "text", "reason"),
    [
        ("minimum_words", 100, prose(1, 60), "few-words"),
        ("minimum_mean_word_length", 6.5, prose(1), "short-words"),
        ("maximum_mean_word_length", 3.0, prose(1), "long-words"),
        ("maximum_symbol_to_word_ratio", 0.01, "# " + prose(1), "many-symbols"),
        ("maximum_duplicate_line_fraction", 0.1, prose(1, 20) * 2 + prose(2), "repeated-lines"),
        ("minimum_distinct_word_fraction", 0.99, prose(1), "few-distinct-words"),
    ],
)
def test_every_setting_counts(setting: str, value: float, text: str, reason: str) -> None:
    assert reason_to_drop(FILTER, text) is None
    assert reason_to_drop(FILTER.model_copy(update={setting: value}), text) == reason


@given(st.lists(st.text(max_size=200), max_size=8))
def test_kept_and_dropped_are_all(texts: list[str]) -> None:
    documents = table_of({str(index): text for index, text in enumerate(texts)})
    drops = Drops()
    kept = apply_step(FILTER, documents, 0, drops)
    assert kept.num_rows + drops.total == len(texts)
    assert kept["text"].to_pylist() == [one for one in texts if not reason_to_drop(FILTER, one)]


def test_blank_lines_and_indentation_dont_make_lines_differ() -> None:
    assert duplicate_line_fraction("a\n\n  a\n\nb\n") == pytest.approx(1 / 3)
    assert duplicate_line_fraction("\n \n") == 0.0
