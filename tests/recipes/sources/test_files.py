import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricle.core.errors import InputError
from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import identity_of, read_source
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


def test_all_formats_give_the_same_documents(tmp_path: Path) -> None:
    _write_all_formats(tmp_path)
    columns = {"id_column": "key", "source_column": "where", "domain_column": "kind"}
    read = [_read(_source(tmp_path / name, **columns)) for name in ("a.jsonl", "c.parquet")]
    assert read[0] == read[1] == _read(_source(tmp_path / "b.jsonl.gz", **columns))
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
    ]
    assert documents[-1].text == "plain\r\ntext"
    assert {one.domain for one in documents} == {"web"}
    assert all(one.source == one.id for one in documents)


def test_equal_texts_share_a_group(tmp_path: Path) -> None:
    _write_all_formats(tmp_path)
    groups = [one.group for one in _read(_source(tmp_path))]
    assert groups[0::2] == [groups[0]] * 3
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


def test_dictionary_and_large_strings_are_text(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["one", "two", "one"]).dictionary_encode(),
            "kind": pa.array(["a", "b", "a"], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    documents = _read(_source(tmp_path, domain_column="kind"))
    assert [(one.text, one.domain) for one in documents] == [
        ("one", "a"),
        ("two", "b"),
        ("one", "a"),
    ]


def _cut_parquet(path: Path) -> None:
    pq.write_table(pa.table({"text": ["some text"] * 5_000}), path)
    path.write_bytes(path.read_bytes()[:-200])


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


def _cut_gzip(path: Path) -> None:
    lines = "".join(f'{{"text": "line {number * 7919 % 10007}"}}\n' for number in range(5_000))
    path.write_bytes(gzip.compress(lines.encode())[:-2_000])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", _cut_parquet, r"a\.parquet: can't be read from row 0 on"),
        ("a.parquet", _spoilt_page, r"a\.parquet: can't be read from row 2000 on"),
        ("a.jsonl.gz", _cut_gzip, r"a\.jsonl\.gz: can't be read from row [1-9]\d* on"),
        ("a.jsonl.gz", b"no gzip at all", r"can't be read from row 0 on"),
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
