import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import apply, prose, step_of, table_of

from curricle.core.errors import InputError
from curricle.recipes.given_scores import given_scores
from curricle.recipes.named_texts import content_of
from curricle.recipes.specs.measurements import GivenScores

TEXTS = {f"{number:02}": prose(number, 20) for number in range(12)}
IDS = pa.chunked_array([["b", "a"], ["c"]])


def write(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def write_lines(path: Path, *lines: str) -> str:
    content = "".join(f"{line}\n" for line in lines).encode()
    packed = {".gz": gzip.compress, ".zst": lambda data: pa.compress(data, "zstd", asbytes=True)}
    path.write_bytes(packed.get(path.suffix, bytes)(content))
    return str(path)


def spec_of(scores: str, **settings: Any) -> GivenScores:
    return GivenScores(scores=scores, **({"column": "quality"} | settings))


def test_scores_are_matched_by_id(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", id=["c", "x", "a", "b"], quality=[3, 9, 1, 2])
    assert given_scores(spec_of(path), IDS).tolist() == [2.0, 1.0, 3.0]


def test_several_files_are_one_table_and_ids_may_be_numbers(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", url=[3, 1], quality=[0.3, 0.1])
    write(tmp_path / "b.parquet", url=[2], quality=[0.2])
    spec = spec_of(f"{tmp_path}/*.parquet", id_column="url")
    assert given_scores(spec, pa.chunked_array([["1", "2", "3"]])).tolist() == [0.1, 0.2, 0.3]


def test_perplexity_and_bits_follow_from_an_evaluations_rows(tmp_path: Path) -> None:
    nats, tokens, size = [8.0, 30.0, 0.0], [4, 10, 0], [10, 50, 0]
    path = write(
        tmp_path / "p.parquet", document=["a", "b", "c"], tokens=tokens, bytes=size, nats=nats
    )
    found = given_scores(spec_of(path, column="perplexity", missing="drop"), IDS)
    np.testing.assert_allclose(found, [np.exp(3), np.exp(2), np.nan])
    bits = given_scores(spec_of(path, column="bits_per_byte", missing="drop"), IDS)
    np.testing.assert_allclose(bits, [30 / 50 / np.log(2), 8 / 10 / np.log(2), np.nan])


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"id": ["a", "b"], "quality": [1, 2]}, {}, r"no quality for 1 of 3 documents, .* 'c'"),
        ({"id": ["a", "b", "c"], "quality": [1, None, 2]}, {}, r"no quality for 1 of 3 .*'b'"),
        ({"id": ["a", "b", "c"], "quality": [1.0, np.nan, np.inf]}, {}, r"for 2 of 3"),
        ({"id": ["a", "a"], "quality": [1, 2]}, {}, r"document 'a' stands there more than once"),
        ({"id": ["a"], "good": [1]}, {}, r"no column 'quality', expected one of .* 'id', 'good'"),
        ({"name": ["a"], "quality": [1]}, {}, r"no column 'id' or 'document', .*as id_column"),
        ({"id": ["a"], "quality": [1]}, {"id_column": "url"}, r"no column 'url'"),
        ({"id": ["a"], "quality": ["x"]}, {}, r"column 'quality' is string, expected numbers"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(
    columns: dict[str, Any], settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.parquet", **columns)
    with pytest.raises(InputError, match=message):
        given_scores(spec_of(path, **settings), IDS)


def test_tables_that_arent_there_or_are_cut_off_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.parquet: does not exist"):
        given_scores(spec_of(str(tmp_path / "nowhere.parquet")), IDS)
    (tmp_path / "x.csv").write_text("id,quality\n")
    with pytest.raises(InputError, match=r"no table in it, expected .*\.jsonl"):
        given_scores(spec_of(str(tmp_path)), IDS)
    path = Path(write(tmp_path / "a.parquet", id=["a"] * 500, quality=list(range(500))))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.parquet: can't be read"):
        given_scores(spec_of(str(path)), IDS)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_a_table_may_be_json_lines(suffix: str, tmp_path: Path) -> None:
    rows = [
        {"id": 3, "nats": 3, "tokens": 1},
        {"id": "a", "nats": 4.0, "tokens": 2, "text": "\ud800"},
        {"id": "b"},
        {"id": "c", "nats": 10**400, "tokens": 1},
    ]
    path = write_lines(tmp_path / f"a{suffix}", *map(json.dumps, rows))
    ids = pa.chunked_array([["b", "a"], ["c", "3"]])
    found = given_scores(spec_of(path, column="perplexity", missing="drop"), ids)
    np.testing.assert_allclose(found, [np.nan, np.exp(2), np.nan, np.exp(3)])
    found = given_scores(spec_of(path, column="nats", missing="drop"), ids)
    np.testing.assert_allclose(found, [np.nan, 4, np.nan, 3])
    assert content_of([], [], [path])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"id": "a", "quality": 1}', "[1]"], r"a\.jsonl, row 1: list, expected a JSON object"),
        (['{"id": "a", "quality": 1}', '{"id": "b", "quality": "x"}'], r"row 1: column 'quality'"),
        (['{"id": "a", "good": 1}'], r"no column 'quality', expected one of .* 'id', 'good'"),
        ([], r"no column 'id' or 'document'"),
    ],
)
def test_what_is_wrong_with_lines_is_one_line(
    lines: list[str], message: str, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.jsonl", *lines)
    with pytest.raises(InputError, match=message):
        given_scores(spec_of(path, missing="drop"), IDS)


def test_a_cut_off_table_of_lines_is_named(tmp_path: Path) -> None:
    lines = (f'{{"id": "{number * 7919}", "quality": {number}}}' for number in range(500))
    path = Path(write_lines(tmp_path / "a.jsonl.gz", *lines))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.jsonl\.gz: can't be read"):
        given_scores(spec_of(str(path)), IDS)


def test_content_counts_and_not_the_place(tmp_path: Path) -> None:
    one = write(tmp_path / "a.parquet", id=["a"], quality=[1])
    (tmp_path / "else").mkdir()
    same = write(tmp_path / "else" / "a.parquet", id=["a"], quality=[1])
    assert content_of([], [], [one]) == content_of([], [], [same])
    assert content_of([], [], [one]) != content_of(
        [], [], [write(Path(one), id=["a"], quality=[2])]
    )
    assert spec_of("x").identity == spec_of("y").identity


def test_limits_and_buckets_of_any_column(tmp_path: Path) -> None:
    draw = np.random.default_rng(0).permutation(12).astype(float)
    path = write(tmp_path / "a.parquet", id=list(TEXTS), anything=draw)
    by = {"scores": path, "column": "anything"}
    limits = step_of(step="score", by=by, minimum_score=3.0, maximum_score=9.0)
    applied = apply(limits, table_of(TEXTS))
    assert applied.ids == [key for key, one in zip(TEXTS, draw, strict=True) if 3 <= one <= 9]
    assert applied.account["dropped"] == {
        "maximum-score": {"prose": 2},
        "minimum-score": {"prose": 3},
    }
    bucket = step_of(step="bucket", by=by, lower=0.25, upper=0.5)
    applied = apply(bucket, table_of(TEXTS))
    assert applied.ids == [key for key, one in zip(TEXTS, draw, strict=True) if 3 <= one < 6]


def test_documents_without_a_score_are_dropped_where_that_is_asked_for(tmp_path: Path) -> None:
    known = list(TEXTS)[::2]
    path = write(tmp_path / "a.parquet", id=known, perplexity=[float(key) for key in known])
    step = step_of(step="perplexity", scores=path, missing="drop", maximum_perplexity=6.0)
    applied = apply(step, table_of(TEXTS))
    assert applied.ids == ["00", "02", "04", "06"]
    assert applied.account["dropped"] == {
        "maximum-perplexity": {"prose": 2},
        "no-score": {"prose": 6},
    }
    by = {"scores": path, "column": "perplexity", "missing": "drop"}
    applied = apply(step_of(step="bucket", by=by, upper=0.5), table_of(TEXTS))
    assert applied.ids == ["00", "02", "04"]
    assert applied.account["dropped"] == {"above-bucket": {"prose": 3}, "no-score": {"prose": 6}}
