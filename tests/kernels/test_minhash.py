"""The CPU path against sets of Python integers, and the estimate against exact similarities."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from curricle.kernels.minhash import minhash, reference


def documents(lengths: list[int], dtype: Any = np.uint64) -> tuple[Tensor, Tensor]:
    """Random hashes of documents of these lengths, and their offsets."""
    generator = np.random.default_rng(len(lengths))
    hashes = generator.integers(0, np.iinfo(dtype).max, sum(lengths), dtype, endpoint=True)
    return torch.from_numpy(hashes), torch.tensor([0, *np.cumsum(lengths)])


def brute_force(hashes: Tensor, offsets: Tensor, num_permutations: int, seed: int) -> Tensor:
    """Python's integers, which never overflow."""
    raw = [int(value) for value in np.random.Philox(seed).random_raw(2 * num_permutations)]
    permutations = [(raw[2 * i] | 1, raw[2 * i + 1]) for i in range(num_permutations)]
    values, bounds = [int(value) for value in hashes.numpy()], offsets.tolist()
    signatures = [
        [
            min((((a * h + b) % 2**64) >> 32 for h in values[start:stop]), default=2**32 - 1)
            for a, b in permutations
        ]
        for start, stop in pairwise(bounds)
    ]
    return torch.tensor(signatures, dtype=torch.int64)


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize(
    "lengths", [[1], [0], [0, 3, 0, 0, 7, 0], [600, 1, 2000, 0, 511], [5] * 40]
)
def test_signatures(lengths: list[int], dtype: Any) -> None:
    hashes, offsets = documents(lengths, dtype)
    found = minhash(hashes, offsets, 9, seed=3)
    assert found.dtype == torch.uint32
    assert torch.equal(found.long(), brute_force(hashes, offsets, 9, 3))


@pytest.mark.parametrize("limit", [1, 3, 64])
def test_documents_cut_anywhere(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, offsets = documents([3, 0, 4, 64, 1, 0, 65])
    expected = minhash(hashes, offsets, 5, seed=1)
    monkeypatch.setattr(reference, "_HASHES_AT_ONCE", limit)
    assert torch.equal(minhash(hashes, offsets, 5, seed=1), expected)


def test_int64_has_the_bits_of_uint64() -> None:
    hashes, offsets = documents([40, 60])
    found = minhash(hashes.view(torch.int64), offsets, 8, seed=1)
    assert torch.equal(found, minhash(hashes, offsets, 8, seed=1))


def test_inputs_that_are_not_contiguous() -> None:
    hashes, offsets = documents([40, 60])
    spread = torch.stack([hashes.view(torch.int64)] * 2, dim=1)[:, 0]
    assert not spread.is_contiguous()
    assert torch.equal(minhash(spread, offsets, 8, seed=1), minhash(hashes, offsets, 8, seed=1))


def test_order_and_repetition_do_not_count() -> None:
    hashes = documents([50])[0].view(torch.int64)
    twice = torch.cat([hashes, hashes.flip(0), hashes])
    first, second = minhash(twice, torch.tensor([0, 50, 150]), 16, seed=1)
    assert torch.equal(first, second)


def test_more_permutations_begin_with_the_same() -> None:
    hashes, offsets = documents([9, 4])
    few, many = (minhash(hashes, offsets, count, seed=5) for count in (4, 12))
    assert torch.equal(few, many[:, :4])


def test_no_documents() -> None:
    hashes, offsets = documents([])
    assert minhash(hashes, offsets, 7, seed=1).shape == (0, 7)


@pytest.mark.parametrize("shared", [0.1, 0.5, 0.9])
def test_estimates_jaccard_similarity(shared: float) -> None:
    """The mean of many estimates, and their spread: that of `permutations` independent draws."""
    pairs, size, permutations = 200, 300, 128
    common = round(size * shared)
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**64, (pairs, 2, size), np.uint64)
    hashes[:, 1, :common] = hashes[:, 0, :common]
    offsets = torch.arange(2 * pairs + 1) * size
    signatures = minhash(torch.from_numpy(hashes.reshape(-1)), offsets, permutations, seed=1)
    sides = signatures.long().view(pairs, 2, permutations)
    estimates = (sides[:, 0] == sides[:, 1]).double().mean(dim=1)
    exact = common / (2 * size - common)
    deviation = (exact * (1 - exact) / permutations) ** 0.5
    assert abs(float(estimates.mean()) - exact) < 4 * deviation / pairs**0.5
    assert 0.8 < float(estimates.std()) / deviation < 1.25


@pytest.mark.parametrize(
    ("hashes", "offsets", "count", "message"),
    [
        (torch.zeros(2, 2).long(), torch.tensor([0, 4]), 3, r"shapes \[\(2, 2\), \(2,\)\]"),
        (torch.zeros(4).long(), torch.zeros(0).long(), 3, r"expected \(S,\), \(D \+ 1,\)"),
        (torch.zeros(4), torch.tensor([0, 4]), 3, "of torch.float32, torch.int64, expected uint32"),
        (torch.zeros(4).long(), torch.tensor([0, 4]).int(), 3, "torch.int64, torch.int32"),
        (torch.zeros(4).long(), torch.tensor([0, 3]), 3, "offsets from 0 to 3 .* 0 to 4"),
        (torch.zeros(4).long(), torch.tensor([0, 3, 2, 4]), 3, "falling ones"),
        (torch.zeros(4).long(), torch.tensor([0, 4]), 0, "0 permutations, expected 1 or more"),
    ],
)
def test_wrong_input(hashes: Tensor, offsets: Tensor, count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        minhash(hashes, offsets, count, seed=1)
