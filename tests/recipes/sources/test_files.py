import gzip
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curricle.core.errors import InputError
from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import identity_of, read_source
from curricle.recipes.sources.rows import Row, batch_rows
from curricle.recipes.specs.sources import FilesSource

ROWS = [
    {"text": "first text", "key": "k1", "where": "w1", "kind": "news"},
    {"text": "second text", "key": "k2", "where": "w2", "kind": "blogs"},
]


def _source(path: Path | str, **settings: Any) -> FilesSource:
    settings = settings or {"domain": "web"}
    return FilesSource(source="files", path=str(path), **settings)


def _read(source: FilesSource) -> list[Document]:
    return list(read_source(source, 0, Drops()))


def _dropped(source: FilesSource) -> tuple[list[str], dict[str, dict[str, int]]]:
    drops = Drops()
    return [one.text for one in read_source(source, 0, drops)], drops.to_plain()


def _write_all_formats(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (folder / "a.jsonl").write_bytes(lines)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "c.parquet")
    (folder / "e.jsonl.zst").write_bytes(pa.compress(lines, "zstd", asbytes=True))
    _write_arrow(folder / "f.arrow", pa.Table.from_pylist(ROWS))


def _write_arrow(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=1_000)


def test_all_formats_give_the_same_documents(tmp_path: Path) -> None:
    _write_all_formats(tmp_path)
    columns = {"id_column": "key", "source_column": "where", "domain_column": "kind"}
    names = ("a.jsonl", "b.jsonl.gz", "c.parquet", "e.jsonl.zst", "f.arrow")
    read = [_read(_source(tmp_path / name, **columns)) for name in names]
    for name, documents in zip(names, read, strict=True):
        assert [one.origin for one in documents] == [f"{name}#0", f"{name}#1"]
        assert [one[:-1] for one in documents] == [one[:-1] for one in read[0]]
    assert [(one.id, one.text, one.domain, one.source) for one in read[0]] == [
        ("k1", "first text", "news", "w1"),
        ("k2", "second text", "blogs", "w2"),
    ]


def test_without_columns_ids_and_sources_are_names_and_rows(tmp_path: Path) -> None:
    _write_all_formats(tmp_path / "in")
    (tmp_path / "in/deep").mkdir()
    (tmp_path / "in/deep/d.txt").write_bytes(b"\xef\xbb\xbfplain\r\ntext")
    documents = _read(_source(tmp_path / "in"))
    assert [one.id for one in documents] == [
        *("a.jsonl#0", "a.jsonl#1", "b.jsonl.gz#0", "b.jsonl.gz#1", "c.parquet#0", "c.parquet#1"),
        "deep/d.txt",
        *("e.jsonl.zst#0", "e.jsonl.zst#1", "f.arrow#0", "f.arrow#1"),
    ]
    assert documents[6].text == "plain\r\ntext"
    assert {one.domain for one in documents} == {"web"}
    assert all(one.source == one.id for one in documents)


def test_equal_texts_share_a_group(tmp_path: Path) -> None:
    _write_all_formats(tmp_path)
    groups = [one.group for one in _read(_source(tmp_path))]
    assert groups[0::2] == [groups[0]] * 5
    assert len(set(groups)) == 2


def test_globs_match_and_name_files_from_their_fixed_part_on(tmp_path: Path) -> None:
    for name in ("x/1/a.txt", "x/2/a.txt", "x/2/b.md", "y/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")
    assert [one.id for one in _read(_source(tmp_path / "x/*/a.txt"))] == ["1/a.txt", "2/a.txt"]
    assert len(_read(_source(tmp_path / "**/*.txt"))) == 3


def test_relative_globs_start_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    assert [one.id for one in _read(_source("*.txt"))] == ["a.txt"]
    assert [one.id for one in _read(_source("a.txt"))] == ["a.txt"]


def test_identity_is_content_not_place(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        _write_all_formats(tmp_path / folder)
    identity = identity_of(_source(tmp_path / "one"))
    assert identity == identity_of(_source(tmp_path / "two"))
    assert identity != identity_of(_source(tmp_path / "one", domain="other"))
    (tmp_path / "two/a.jsonl").write_text('{"text": "third"}\n')
    assert identity != identity_of(_source(tmp_path / "two"))


def test_bad_rows_of_json_lines_have_reasons(tmp_path: Path) -> None:
    lines = [
        b'{"text": null}',
        b'{"text": "  "}',
        b'{"text": "a\\u0000b"}',
        b'{"text": "a\\ud800b"}',
        b'{"text": "caf\xe9"}',
        b"",
        b'{"text": "kept"}',
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    texts, dropped = _dropped(_source(tmp_path / "a.jsonl"))
    assert texts == ["kept"]
    assert dropped == {
        "empty-text": {"web": 1},
        "lone-surrogate": {"web": 2},
        "nul-byte": {"web": 1},
        "null-text": {"web": 1},
    }


def test_bad_rows_of_parquet_have_reasons(tmp_path: Path) -> None:
    values = [b"kept", None, b"", b"caf\xe9", b"a\0b", b"no domain"]
    text = pa.Array.from_buffers(
        pa.string(), len(values), pa.array(values, pa.binary()).buffers(), null_count=1
    )
    domain = pa.array(["a"] * 5 + [None])
    pq.write_table(pa.table({"text": text, "kind": domain}), tmp_path / "a.parquet")
    texts, dropped = _dropped(_source(tmp_path / "a.parquet", domain_column="kind"))
    assert texts == ["kept"]
    assert dropped == {
        "empty-text": {"a": 1},
        "invalid-utf8": {"a": 1},
        "no-domain": {"unknown": 1},
        "nul-byte": {"a": 1},
        "null-text": {"a": 1},
    }


def test_text_files_that_arent_utf8_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "b.txt").write_text("fine")
    assert _dropped(_source(tmp_path)) == (["fine"], {"invalid-utf8": {"web": 1}})


def test_ids_and_sources_are_always_valid_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "t", "key": "\\ud800", "n": 7}\n')
    (document,) = _read(_source(tmp_path, domain="web", id_column="key", source_column="n"))
    assert (document.id, document.source) == ("?", "7")


def test_strings_of_all_types_and_bytes_are_text(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["one", "two", "one"]).dictionary_encode(),
            "kind": pa.array(["a", "b", "a"], pa.large_string()),
            "bytes": pa.array([b"one", b"two", b"one"], pa.binary()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    for column in ("text", "bytes"):
        documents = _read(_source(tmp_path, domain_column="kind", text_column=column))
        assert [(one.text, one.domain) for one in documents] == [
            ("one", "a"),
            ("two", "b"),
            ("one", "a"),
        ]


def _cut_parquet(path: Path) -> None:
    """Without the end, which says where everything is."""
    pq.write_table(pa.table({"text": ["some text"] * 5_000}), path)
    path.write_bytes(path.read_bytes()[:-200])


def _half_a_parquet(path: Path) -> None:
    pq.write_table(pa.table({"text": [f"text {number}" for number in range(5_000)]}), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _spoilt_page(path: Path) -> None:
    """A Parquet file whose first row group is whole and whose second one isn't."""
    texts = [f"text number {number}" for number in range(4_000)]
    pq.write_table(
        pa.table({"text": texts}),
        path,
        row_group_size=2_000,
        compression="zstd",
        use_dictionary=False,
    )
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 400] = b"\xff" * 400
    path.write_bytes(content)


_DRAWN = np.random.default_rng(0).random(100_000)
_LINES = "".join(f'{{"text": "{number}"}}\n' for number in _DRAWN).encode()


def _three_quarters(content: bytes) -> bytes:
    return content[: len(content) * 3 // 4]


def _cut_gzip(path: Path) -> None:
    path.write_bytes(_three_quarters(gzip.compress(_LINES)))


def _cut_zstd(path: Path) -> None:
    path.write_bytes(_three_quarters(pa.compress(_LINES, "zstd", asbytes=True)))


def _cut_arrow(path: Path) -> None:
    """A stream that ends between two batches, as a copy that was broken off may."""
    _write_arrow(path, pa.table({"text": ["some text"] * 2_000}))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // 8 * 8])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", _cut_parquet, r"a\.parquet: can't be read from row 0 on"),
        ("a.parquet", _half_a_parquet, r"a\.parquet: can't be read from row 0 on"),
        ("a.parquet", _spoilt_page, r"a\.parquet: can't be read from row 2000 on"),
        ("a.jsonl.gz", _cut_gzip, r"a\.jsonl\.gz: can't be read from row [1-9]\d* on"),
        ("a.jsonl.zst", _cut_zstd, r"a\.jsonl\.zst: can't be read from row [1-9]\d* on"),
        ("a.arrow", _cut_arrow, r"a\.arrow: can't be read from row 0 on .*cut off"),
        ("a.arrow", b"short", r"a\.arrow: can't be read from row 0 on"),
        ("a.jsonl.gz", b"no gzip at all", r"can't be read from row 0 on"),
        ("a.jsonl.zst", b"no zstd at all", r"can't be read from row 0 on"),
        ("a.jsonl.gz", b"", r"can't be read from row 0 on .*empty"),
        ("a.jsonl.zst", b"", r"can't be read from row 0 on .*empty"),
        ("a.parquet", b"", r"can't be read from row 0 on"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "y', r"a\.jsonl, row 1: .*expected one JSON object"),
        ("a.jsonl", b'{"text": "x"}\n[1]\n', r"row 1: list, expected a JSON object"),
        ("a.jsonl", b'{"txt": "x"}\n', r"row 0: no column 'text', expected .*'txt'"),
        ("a.jsonl", b'{"text": 7}\n', r"row 0: 'text' is int, expected text"),
        ("a.parquet", pa.table({"txt": ["x"]}), r"no column 'text', expected .*'txt'"),
        ("a.parquet", pa.table({"text": [7]}), r"column 'text' is int64, expected text"),
        ("a.csv", b"text\nx\n", r"no file of a known format, expected files ending in \.parquet"),
    ],
)
def test_broken_files_are_named_with_the_row(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    path = tmp_path / name
    if callable(content):
        content(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    with pytest.raises(InputError, match=message):
        _read(_source(path))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", r"nowhere: does not exist, expected an existing file"),
        ("*.jsonl", r"matches no file, expected an existing file"),
        (".", r"no file of a known format"),
    ],
)
def test_paths_without_documents_are_named(tmp_path: Path, path: str, message: str) -> None:
    for use in (identity_of, _read):
        with pytest.raises(InputError, match=message):
            use(_source(tmp_path / path))


def test_a_domain_that_cant_name_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "x", "kind": "ok"}\n{"text": "y", "kind": "../b"}\n'
    )
    with pytest.raises(InputError, match=r"a\.jsonl, row 1: domain '\.\./b'"):
        _read(_source(tmp_path, domain_column="kind"))


def test_an_id_column_must_be_there(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x"], "tags": [["y"]]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'key'"):
        _read(_source(tmp_path, domain="web", id_column="key"))
    with pytest.raises(InputError, match="column 'tags' is list"):
        _read(_source(tmp_path, domain="web", id_column="tags"))


def test_files_of_other_formats_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    for name in ("b.csv", "c.jsonl.xz", ".hidden", "_SUCCESS"):
        (tmp_path / name).write_text("x")
    assert _dropped(_source(tmp_path)) == (["x"], {"unknown-format": {"web": 2}})


def test_a_file_that_vanishes_after_listing_is_an_error(tmp_path: Path) -> None:
    _write_all_formats(tmp_path)
    documents = read_source(_source(tmp_path), 0, Drops())
    next(documents)
    (tmp_path / "c.parquet").unlink()
    with pytest.raises(InputError, match=r"c\.parquet: can't be read from row 0 .*No such file"):
        list(documents)


def test_row_groups_of_long_texts_are_read_in_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curricle.recipes.sources.file_formats.BATCH_BYTES", 10_000)
    texts = [f"{number} " * 1_000 for number in range(40)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", use_dictionary=False)
    read: list[int] = []

    def count(batch: pa.RecordBatch, *rest: Any) -> Iterator[Row]:
        read.append(len(batch))
        return batch_rows(batch, *rest)

    monkeypatch.setattr("curricle.recipes.sources.file_formats.batch_rows", count)
    assert [one.text for one in _read(_source(tmp_path))] == texts
    assert max(read) <= 5


_VALUES = st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text(max_size=3), max_size=2))


# Drawing the first examples can take seconds on a machine at work, and says nothing of the code.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["text", "kind"]), _VALUES)))
def test_any_json_rows_are_documents_drops_or_one_error(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        documents: list[Document] = []
        drops, errors = Drops(), []
        try:
            documents += read_source(_source(path, domain_column="kind"), 0, drops)
        except InputError as error:
            errors.append(error.found)
    if errors:
        assert re.search(r"a\.jsonl, row \d+", errors[0])
        return
    assert len(documents) + drops.total == len(rows)
    for document in documents:
        assert document.text in [row["text"] for row in rows]
        document.text.encode()


@given(st.lists(st.one_of(st.none(), st.binary(max_size=30))))
def test_any_bytes_in_parquet_are_documents_or_drops(values: list[bytes | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"text": pa.array(values, pa.binary())}), f"{folder}/a.parquet")
        drops = Drops()
        documents = list(read_source(_source(folder), 0, drops))
    assert len(documents) + drops.total == len(values)
    assert {one.text.encode() for one in documents} <= set(values)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet"])
def test_a_huge_document_is_one_document(tmp_path: Path, name: str) -> None:
    text = "word " * (40 << 20)
    if name == "a.parquet":
        pq.write_table(pa.table({"text": [text]}), tmp_path / name)
    else:
        (tmp_path / name).write_text(json.dumps({"text": text}) if "json" in name else text)
    (document,) = _read(_source(tmp_path))
    assert document.text == text
