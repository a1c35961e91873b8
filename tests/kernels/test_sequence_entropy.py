"""The CPU path against a histogram."""

import math

import pytest
import torch
from torch import Tensor

from curricle.kernels.sequence_entropy import reference, sequence_entropy


def naive(tokens_BT: Tensor, vocabulary_size: int) -> Tensor:
    one_hot_BTV = torch.nn.functional.one_hot(tokens_BT.long(), vocabulary_size)
    probability_BV = one_hot_BTV.double().mean(dim=1)
    entropy_B: Tensor = torch.special.entr(probability_BV).sum(dim=1)
    return entropy_B


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize(
    ("rows", "length", "vocabulary"), [(1, 1, 1), (3, 1, 5), (1, 9, 4), (7, 301, 50), (40, 64, 999)]
)
def test_entropy(rows: int, length: int, vocabulary: int, dtype: torch.dtype) -> None:
    tokens_BT = (torch.rand(rows, length) ** 3 * vocabulary).to(dtype)
    entropy_B = sequence_entropy(tokens_BT, vocabulary)
    assert entropy_B.dtype == torch.float64
    torch.testing.assert_close(entropy_B, naive(tokens_BT, vocabulary), rtol=0, atol=1e-13)


def test_extremes() -> None:
    tokens_BT = torch.stack([torch.zeros(1024).long(), torch.arange(1024)])
    found_B = sequence_entropy(tokens_BT, 2**17)
    expected_B = torch.tensor([0, math.log(1024)], dtype=torch.float64)
    torch.testing.assert_close(found_B, expected_B, rtol=0, atol=1e-12)


def test_one_word_in_neighbouring_rows_is_counted_apart() -> None:
    tokens_BT = torch.tensor([[0, 3, 3, 3], [3, 3, 4, 4]])
    torch.testing.assert_close(sequence_entropy(tokens_BT, 5), naive(tokens_BT, 5))


def test_rows_of_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens_BT = torch.randint(0, 9, (23, 10))
    expected_B = sequence_entropy(tokens_BT, 9)
    for limit in (1, 10, 35):
        monkeypatch.setattr(reference, "_TOKENS_AT_ONCE", limit)
        assert torch.equal(sequence_entropy(tokens_BT, 9), expected_B)


def test_tokens_that_are_not_contiguous() -> None:
    tokens_BT = torch.randint(0, 50, (60, 20)).T[:, ::2]
    assert not tokens_BT.is_contiguous()
    torch.testing.assert_close(sequence_entropy(tokens_BT, 50), naive(tokens_BT, 50))


def test_no_sequences() -> None:
    assert sequence_entropy(torch.empty(0, 7).long(), 5).shape == (0,)


@pytest.mark.parametrize(
    ("tokens_BT", "message"),
    [
        (torch.zeros(4).long(), r"shape \(4,\), expected \(B, T\)"),
        (torch.zeros(4, 0).long(), r"shape \(4, 0\), expected \(B, T\)"),
        (torch.zeros(2, 2), "torch.float32, expected integers"),
        (torch.zeros(2, 2).bool(), "torch.bool, expected integers"),
        (torch.tensor([[1, 5]]), "token 5, expected 0 to 4"),
        (torch.tensor([[1, -1]]), "token -1, expected 0 to 4"),
    ],
)
def test_wrong_input(tokens_BT: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sequence_entropy(tokens_BT, 5)
