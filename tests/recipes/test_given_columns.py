from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricle.core.errors import InputError
from curricle.recipes.given_columns import given_values
from curricle.recipes.specs.scoring import GivenColumn


def test_a_column_is_joined_by_id_whatever_the_order(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("name,quality\nb,2\na,1\nunused,\n")
    given = GivenColumn(path=str(path), column="quality", id_column="name")
    assert given_values(given, ["a", "b"]) == {"a": 1.0, "b": 2.0}


def test_parquet_serves_as_well(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"id": ["x"], "q": pa.array([0.5], pa.float32())}), path)
    assert given_values(GivenColumn(path=str(path), column="q"), ["x"]) == {"x": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,q\na,1\n", "no number for 1 of 2 documents, such as b, expected a number in 'q'"),
        ("id,q\na,1\nb,nan\n", "no number for 1 of 2 documents, such as b"),
        ("id,q\na,1\nb,\n", "no number for 1 of 2 documents, such as b"),
        ("id,q\na,1\na,2\nb,3\n", "1 ids more than once"),
        ("id,p\na,1\n", r"no column 'q', expected one of id, p"),
        ("id,q\na,low\nb,high\n", "column 'q'"),
    ],
)
def test_columns_that_dont_fit_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        given_values(GivenColumn(path=str(path), column="q"), ["a", "b"])


def test_a_file_that_isnt_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.csv: .*expected a Parquet or CSV file"):
        given_values(GivenColumn(path=str(tmp_path / "nowhere.csv"), column="q"), ["a"])
