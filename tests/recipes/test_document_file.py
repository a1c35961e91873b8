from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import table_of

from curricle.core.errors import IntegrityError
from curricle.recipes.document_file import Documents, DocumentWriter

TABLE = table_of({f"{number:05}": f"text {number}" for number in range(4500)})


def test_batches_are_the_table_whether_stored_or_not(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=1700)
    for source in (TABLE, tmp_path / "t.parquet"):
        batches = list(Documents(source).batches())
        assert pa.concat_tables(batch.table for batch in batches).equals(TABLE)
        assert [batch.start for batch in batches][1:] == [batch.rows.stop for batch in batches][:-1]
        ids = [one for batch in Documents(source).batches(["id"]) for one in batch.ids]
        assert ids == TABLE["id"].to_pylist()


def test_equal_documents_become_equal_bytes(tmp_path: Path) -> None:
    for name, size in (("a", 4500), ("b", 7), ("c", 2000)):
        with DocumentWriter(tmp_path / name, TABLE.schema) as writer:
            for start in range(0, TABLE.num_rows, size):
                writer.write(TABLE.slice(start, size))
        assert writer.rows == 4500
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    with DocumentWriter(tmp_path / "none", TABLE.schema):
        pass
    assert list(Documents(tmp_path / "none").batches(["id"])) == []


def test_a_group_of_long_documents_has_few_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curricle.recipes.document_file.ROW_GROUP_BYTES", 1000)
    lengths = [400, 599, 1, 5000, 10, 10, *([1] * 2500)]
    table = table_of({f"{row:05}": "x" * length for row, length in enumerate(lengths)})
    for name, size in (("a", 4500), ("b", 1)):
        with DocumentWriter(tmp_path / name, table.schema) as writer:
            for start in range(0, table.num_rows, size):
                writer.write(table.slice(start, size))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    rows = [batch.table.num_rows for batch in Documents(tmp_path / "a").batches()]
    assert rows == [3, 1, 2 + 980, 1000, 520]
    assert pa.concat_tables(b.table for b in Documents(tmp_path / "a").batches()).equals(table)


def test_codes_rank_values_and_null_comes_first() -> None:
    table = TABLE.slice(0, 4).append_column("stars", pa.array([3, None, 7, 3]))
    assert Documents(table).codes("stars").tolist() == [1, 0, 2, 1]
    assert Documents(table).codes("stars", descending=True).tolist() == [2, 0, 1, 2]
    assert Documents(table).codes("id").tolist() == [1, 2, 3, 4]


def test_damage_is_named(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(content[: len(content) // 2])
    pq.write_table(TABLE.drop_columns(["domain"]), tmp_path / "other.parquet")
    for name, message in (("half", "half.parquet"), ("other", "no column domain"), ("no", "no.p")):
        with pytest.raises(IntegrityError, match=message):
            list(Documents(tmp_path / f"{name}.parquet").batches())
