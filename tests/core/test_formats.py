from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from curricle.core import token_dataset
from curricle.core.errors import InputError, IntegrityError
from curricle.core.order_file import batch_at, blank_order, read_order, write_order
from curricle.core.scores_file import (
    ranks_within,
    read_halves,
    read_scores,
    score_names,
    write_scores,
)
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument


def write_dataset(folder: Path, vocabulary_size: int = 300) -> None:
    writer = DatasetWriter(folder, vocabulary_size=vocabulary_size, end_of_text=0)
    for domain, start in (("a", 1), ("b", 101)):
        documents = [
            TokenizedDocument(f"{domain}{i}", "here", 10, range(start + 10 * i, start + 10 * i + 9))
            for i in range(3)
        ]
        writer.write_domain(domain, documents)
    writer.finish()


def test_samples_are_windows_of_one_domain(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    dataset = TokenDataset(tmp_path, sequence_length=7)
    # A domain has 3 x (9 + end) = 30 tokens: 29 // 7 = 4 windows.
    assert len(dataset) == 8
    np.testing.assert_array_equal(dataset.domain_of_samples(), [0, 0, 0, 0, 1, 1, 1, 1])
    stream = [*range(1, 10), 0, *range(11, 20), 0, *range(21, 30), 0]
    np.testing.assert_array_equal(dataset.read(np.array([1]))[0], stream[7:15])
    np.testing.assert_array_equal(
        dataset.read(np.array([5, 0]))[:, 0], [stream[7] + 100, stream[0]]
    )


def test_shards_split_between_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_dataset, "MAX_SHARD_TOKENS", 20)
    write_dataset(tmp_path)
    dataset = TokenDataset(tmp_path, sequence_length=7)
    assert [shard["tokens"] for shard in dataset.manifest["shards"]] == [20, 10, 20, 10]
    assert len(dataset) == 2 + 1 + 2 + 1
    np.testing.assert_array_equal(dataset.domain_of_samples(), [0, 0, 0, 1, 1, 1])


def test_the_document_table_finds_every_document(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    for row in pq.read_table(tmp_path / "documents.parquet").to_pylist():
        shard = np.fromfile(tmp_path / row["shard"], dtype="<u2")
        document = shard[row["offset"] : row["offset"] + row["tokens"]]
        assert document[-1] == 0
        assert row["tokens"] == 10
        assert np.all(np.diff(document[:-1].astype(int)) == 1)


@pytest.mark.parametrize(("vocabulary_size", "width"), [(65_535, 2), (65_536, 4)])
def test_token_width_follows_the_vocabulary(
    tmp_path: Path, vocabulary_size: int, width: int
) -> None:
    write_dataset(tmp_path, vocabulary_size)
    assert (tmp_path / "tokens-a-00000.bin").stat().st_size == 30 * width
    assert TokenDataset(tmp_path, 7).read(np.array([0]))[0, 0] == 1


def test_a_shard_of_another_size_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    with (tmp_path / "tokens-b-00000.bin").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(IntegrityError, match="tokens-b-00000.bin: 61 bytes"):
        TokenDataset(tmp_path, 7)


def test_orders_round_trip_and_give_batches(tmp_path: Path) -> None:
    order = np.array([3, 1, 2, 0, 3, 1], dtype=np.int64)
    write_order(tmp_path, order)
    np.testing.assert_array_equal(read_order(tmp_path, 4), order)
    np.testing.assert_array_equal(batch_at(order, 1, 2), [2, 0])
    with pytest.raises(IntegrityError, match="names sample 3"):
        read_order(tmp_path, 3)


@pytest.mark.parametrize("order", [np.array([], dtype=np.int64), np.array([-1]), np.zeros((2, 2))])
def test_what_is_no_order_is_refused(tmp_path: Path, order: np.ndarray) -> None:
    with pytest.raises(InputError, match="sample ids"):
        write_order(tmp_path, order)


def test_scores_round_trip(tmp_path: Path) -> None:
    halves = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    columns = {"x": np.array([0.5, 1.5, -1.0]), "y": np.zeros(3)}
    write_scores(tmp_path, ["a", "a", "b"], columns, {"x": halves})
    np.testing.assert_array_equal(read_scores(tmp_path, "x"), [0.5, 1.5, -1.0])
    np.testing.assert_array_equal(read_scores(tmp_path, "x_rank"), [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(read_halves(tmp_path, "x"), halves)
    assert read_halves(tmp_path, "y") is None
    assert score_names(tmp_path) == ["x", "y"]
    with pytest.raises(InputError, match=r"score 'z', expected one of \['x', 'y'\]"):
        read_scores(tmp_path, "z")


def test_scores_may_be_mapped_from_a_file_without_a_name(tmp_path: Path) -> None:
    write_scores(tmp_path, ["a", "a", "b"], {"x": np.array([0.5, 1.5, -1.0])})
    before = list(tmp_path.iterdir())
    scores = read_scores(tmp_path, "x", mapped_in=tmp_path)
    assert list(tmp_path.iterdir()) == before
    np.testing.assert_array_equal(scores, [0.5, 1.5, -1.0])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4)), max_size=30))
def test_ranks_are_scipys_inside_each_domain(rows: list[tuple[str, int]]) -> None:
    domains = [domain for domain, _ in rows]
    values = np.array([value for _, value in rows], dtype=float)
    found = ranks_within(values, domains)
    for domain in set(domains):
        mine = np.array([name == domain for name in domains])
        expected = (rankdata(values[mine]) - 1) / max(mine.sum() - 1, 1)
        np.testing.assert_allclose(found[mine], expected)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_with_gaps_are_refused(tmp_path: Path, wrong: float) -> None:
    write_scores(tmp_path, ["a", "a"], {"x": np.array([0.5, wrong])})
    with pytest.raises(InputError, match="score 'x': 1 samples without a number"):
        read_scores(tmp_path, "x")


def test_scores_that_miss_a_sample_are_refused(tmp_path: Path) -> None:
    table = pa.table({"sample": [0, 2], "domain": ["a", "a"], "x": [0.5, 1.0]})
    pq.write_table(table, tmp_path / "scores.parquet")
    with pytest.raises(InputError, match="scores don't cover every sample once"):
        read_scores(tmp_path, "x")


def test_an_order_may_be_written_in_its_place(tmp_path: Path) -> None:
    order = blank_order(tmp_path, 3)
    order[:] = [2, 0, 1]
    write_order(tmp_path, order)
    assert read_order(tmp_path, 3, mapped=True).tolist() == [2, 0, 1]
    write_order(tmp_path, np.array([1, 1]))
    assert read_order(tmp_path, 3).tolist() == [1, 1]
