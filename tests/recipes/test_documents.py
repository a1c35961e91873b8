from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.core.errors import IntegrityError
from curricle.recipes.documents import (
    SCHEMA,
    Document,
    Drops,
    documents_table,
    drop_rows,
    normalized,
    read_documents,
    unusable_reason,
    write_documents,
)


def _table() -> pa.Table:
    return documents_table(
        Document(str(number), f"text {number}", "ab"[number % 2], "s", "g") for number in range(6)
    )


def test_a_table_comes_back_equal_and_its_bytes_are_stable(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_documents(tmp_path / name, _table())
    assert read_documents(tmp_path / "one").equals(_table())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_empty_table_has_the_columns() -> None:
    assert documents_table([]).schema == SCHEMA


def test_a_damaged_or_foreign_file_is_an_integrity_error(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"PAR1 no")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign")
    for name in ("damaged", "foreign", "missing"):
        with pytest.raises(IntegrityError, match=name):
            read_documents(tmp_path / name)


def test_dropped_rows_are_counted_by_reason_and_domain() -> None:
    drops = Drops()
    reasons = [None, "short", "short", None, "long", "short"]
    kept = drop_rows(_table(), reasons, drops)
    assert kept["id"].to_pylist() == ["0", "3"]
    assert drops.to_plain() == {"long": {"a": 1}, "short": {"a": 1, "b": 2}}
    assert kept.num_rows + drops.total == _table().num_rows


@given(st.text())
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1)), st.data())
def test_normalized_text_ignores_white_space(words: list[str], data: st.DataObject) -> None:
    spaces = data.draw(
        st.lists(st.sampled_from([" ", "\n", "\t ", "\r\n"]), min_size=1, max_size=3)
    )
    spaced = "".join(word + spaces[index % len(spaces)] for index, word in enumerate(words))
    assert normalized(spaced) == normalized(" ".join(words))


def test_composed_and_decomposed_letters_are_the_same_text() -> None:
    assert normalized("caf\u00e9") == normalized("cafe\u0301")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "null-text"),
        ("", "empty-text"),
        (" \n\t", "empty-text"),
        ("a\0b", "nul-byte"),
        ("a\ud800b", "lone-surrogate"),
        ("fine", None),
    ],
)
def test_unusable_text_has_a_reason(text: str | None, reason: str | None) -> None:
    assert unusable_reason(text) == reason
