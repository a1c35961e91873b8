"""The model and its cross entropy against a dense table of probabilities."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from curricle.kernels.bigram_cross_entropy import (
    bigram_cross_entropy,
    fit_bigram_model,
    reference,
)


def tokens(rows: int, length: int, vocabulary: int, dtype: torch.dtype = torch.int64) -> Tensor:
    """Random tokens, the first words more often than the last."""
    torch.manual_seed(rows)
    return (torch.rand(rows, length) ** 2 * vocabulary).to(dtype)


def table(rows: list[list[int]], vocabulary: int, weight: float) -> list[list[float]]:
    """p(w | v) for all v and w, counted word by word."""
    words = Counter(word for row in rows for word in row)
    pairs = Counter(pair for row in rows for pair in pairwise(row))
    contexts = Counter(word for row in rows for word in row[:-1])
    total = sum(words.values())
    unigram = [(words[w] + 1) / (total + vocabulary) for w in range(vocabulary)]
    return [
        [(pairs[v, w] + weight * unigram[w]) / (contexts[v] + weight) for w in range(vocabulary)]
        for v in range(vocabulary)
    ]


def brute_force(row: list[int], probabilities: list[list[float]]) -> float:
    logarithms = [math.log(probabilities[v][w]) for v, w in pairwise(row)]
    return -math.fsum(logarithms) / len(logarithms)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("weight", [0.3, 100.0])
@pytest.mark.parametrize(
    ("rows", "length", "vocabulary"), [(1, 2, 1), (1, 2, 9), (3, 2, 5), (7, 61, 40), (40, 9, 99)]
)
def test_cross_entropy(
    rows: int, length: int, vocabulary: int, weight: float, dtype: torch.dtype
) -> None:
    fitted = tokens(rows, length, vocabulary, dtype)
    scored = tokens(rows + 1, length + 3, vocabulary, dtype)
    model = fit_bigram_model(fitted, vocabulary, prior_weight=weight)
    found_B = bigram_cross_entropy(scored, model)
    assert found_B.dtype == torch.float64
    probabilities = table(fitted.tolist(), vocabulary, weight)
    expected_B = torch.tensor(
        [brute_force(row, probabilities) for row in scored.tolist()], dtype=torch.float64
    )
    torch.testing.assert_close(found_B, expected_B, rtol=0, atol=1e-12)


def test_probabilities_of_every_context_sum_to_one() -> None:
    vocabulary = 30
    model = fit_bigram_model(tokens(5, 50, vocabulary - 3), vocabulary)
    words = torch.arange(vocabulary)
    every_pair = torch.cartesian_prod(words, words)
    probability = torch.exp(-bigram_cross_entropy(every_pair, model)).view(vocabulary, vocabulary)
    torch.testing.assert_close(probability.sum(dim=1), torch.ones(vocabulary).double())


def test_a_cycle_is_learnt_and_its_reverse_is_not() -> None:
    forward = torch.arange(400).view(1, -1) % 7
    model = fit_bigram_model(forward, 7, prior_weight=0.01)
    assert bigram_cross_entropy(forward, model) < 0.001
    assert bigram_cross_entropy(forward.flip(1), model) > math.log(7)


def test_largest_words_of_a_large_vocabulary() -> None:
    vocabulary = 2**17
    ends = torch.tensor([[0, vocabulary - 1, vocabulary - 1, 0]])
    model = fit_bigram_model(ends, vocabulary)
    assert model.pairs.tolist() == [vocabulary - 1, vocabulary**2 - vocabulary, vocabulary**2 - 1]
    assert bigram_cross_entropy(ends, model) < bigram_cross_entropy(ends.flip(1) // 2, model)


def test_rows_of_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = tokens(23, 10, 9)
    model = fit_bigram_model(scored, 9)
    expected_B = bigram_cross_entropy(scored, model)
    for limit in (1, 10, 35):
        monkeypatch.setattr(reference, "_TOKENS_AT_ONCE", limit)
        assert torch.equal(bigram_cross_entropy(scored, model), expected_B)


def test_tokens_that_are_not_contiguous() -> None:
    scored = torch.randint(0, 50, (60, 20)).T[:, ::2]
    assert not scored.is_contiguous()
    model, copied = fit_bigram_model(scored, 50), fit_bigram_model(scored.contiguous(), 50)
    found_B = bigram_cross_entropy(scored, model)
    assert torch.equal(found_B, bigram_cross_entropy(scored.contiguous(), copied))


def test_no_sequences() -> None:
    model = fit_bigram_model(tokens(1, 5, 4), 4)
    assert bigram_cross_entropy(torch.empty(0, 7).long(), model).shape == (0,)


@pytest.mark.parametrize(
    ("tokens_BT", "message"),
    [
        (torch.zeros(4).long(), r"shape \(4,\), expected \(B, T\) with T at least 2"),
        (torch.zeros(4, 1).long(), r"shape \(4, 1\), expected \(B, T\) with T at least 2"),
        (torch.zeros(2, 2), "torch.float32, expected integers"),
        (torch.tensor([[1, 5]]), "token 5, expected 0 to 4"),
        (torch.tensor([[1, -1]]), "token -1, expected 0 to 4"),
    ],
)
def test_wrong_tokens(tokens_BT: Tensor, message: str) -> None:
    model = fit_bigram_model(tokens(2, 4, 5), 5)
    with pytest.raises(ValueError, match=message):
        bigram_cross_entropy(tokens_BT, model)
    with pytest.raises(ValueError, match=message):
        fit_bigram_model(tokens_BT, 5)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan])
def test_wrong_prior_weight(weight: float) -> None:
    with pytest.raises(ValueError, match="found prior weight .*, expected a number above 0"):
        fit_bigram_model(tokens(2, 4, 5), 5, prior_weight=weight)
