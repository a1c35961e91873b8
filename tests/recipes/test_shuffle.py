from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.recipes import engine, shuffle
from curricle.recipes.array_file import ArrayFile, ArrayWriter
from curricle.recipes.engine import in_shards
from curricle.recipes.shuffle import (
    partition_of,
    partitions_for,
    read_partition,
    write_shuffled,
)


@pytest.mark.parametrize("partitions", [1, 2, 3, 40])
def test_the_records_of_a_key_meet_in_one_partition(tmp_path: Path, partitions: int) -> None:
    draw = np.random.default_rng(0)
    known = draw.integers(0, 2**64, 50, dtype=np.uint64)
    files, written = [], []
    for number in range(4):
        keys = draw.choice(known, 100)
        rows = np.arange(100) + 100 * number
        numbers = partition_of(keys, partitions)
        files.append(write_shuffled(tmp_path / f"{number}", keys, rows, numbers, partitions))
        written += list(zip(keys.tolist(), rows.tolist(), strict=True))
    read = [read_partition(files, number) for number in range(partitions)]
    assert sorted(record for part in read for record in part.tolist()) == sorted(written)
    homes = [set(part["key"].tolist()) for part in read]
    assert sum(map(len, homes)) == len(set(known.tolist()))
    for part in read:
        for key in set(part["key"].tolist()):
            rows_of_key = part["row"][part["key"] == key]
            assert (np.diff(rows_of_key) > 0).all(), "in the order of the files"
    assert partitions == 1 or max(map(len, read)) < 400


def test_keys_at_both_ends_have_a_partition() -> None:
    ends = np.array([0, 2**64 - 1], dtype=np.uint64)
    assert partition_of(ends, 7).tolist() == [0, 6]


def test_partitions_are_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "PARTITION_BYTES", 100)
    assert [partitions_for(size) for size in (0, 99, 100, 1000)] == [1, 1, 2, 11]


@given(st.lists(st.integers(0, 50)), st.integers(1, 100))
def test_shards_are_all_indices_in_turn(sizes: list[int], least: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "LEAST_BYTES", least)
        shards = list(in_shards(sizes))
    assert [index for shard in shards for index in shard] == list(range(len(sizes)))
    for shard in shards[:-1]:
        assert least <= sum(sizes[index] for index in shard) < least + sizes[shard[-1]] + 1


def test_large_corpora_have_larger_shards_up_to_a_limit() -> None:
    megabytes = [1 << 20] * 100_000
    assert {len(shard) for shard in list(in_shards(megabytes))[:-1]} == {64}
    assert {len(shard) for shard in list(in_shards(megabytes[:5_120]))[:-1]} == {20}
    assert {len(shard) for shard in list(in_shards(megabytes[:100]))[:-1]} == {8}


@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 2), (0, 4)])
def test_arrays_written_in_pieces_are_those_of_numpy(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    array = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint32)
    np.save(tmp_path / "numpy.npy", array)
    with ArrayWriter(tmp_path / "ours.npy", array, len(array)) as writer:
        writer.write(array[:2])
        writer.write(array[2:])
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    stored = ArrayFile(tmp_path / "numpy.npy")
    assert len(stored) == len(array)
    assert np.array_equal(stored.read(), array)
    if len(array):
        assert np.array_equal(stored.read(1, 3), array[1:3])
