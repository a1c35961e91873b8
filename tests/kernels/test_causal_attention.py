"""Attention against the naive form, which stores all probabilities, in fp64."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from curricle.kernels.causal_attention import blocked, causal_attention, function

SHAPES = [
    (1, 1, 1, 1),
    (2, 3, 5, 4),
    (1, 2, 127, 8),
    (2, 1, 128, 16),
    (3, 2, 129, 7),
    (1, 2, 300, 5),
]
Case = tuple[Tensor, Tensor, Tensor]


def make_case(shape: tuple[int, int, int, int], dtype: torch.dtype = torch.float32) -> Case:
    """Query, key and value as a projection of all three gives them: none is contiguous."""
    B, H, T, D = shape
    torch.manual_seed(T)
    joint_BTC = torch.randn(B, T, 3 * H * D).to(dtype)
    query, key, value = (
        part.unflatten(-1, (H, D)).transpose(1, 2).requires_grad_()
        for part in joint_BTC.split(H * D, dim=-1)
    )
    return query, key, value


def naive(query_BHTD: Tensor, key_BHTD: Tensor, value_BHTD: Tensor) -> Tensor:
    query, key, value = (each.double() for each in (query_BHTD, key_BHTD, value_BHTD))
    score_BHTT = query @ key.mT / query.shape[-1] ** 0.5
    later_TT = torch.ones(score_BHTT.shape[-2:]).triu(1).bool()
    return score_BHTT.masked_fill(later_TT, -torch.inf).softmax(-1) @ value


def forbid_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_settings: Any) -> None:
        pytest.fail("took torch's form")

    monkeypatch.setattr(F, "scaled_dot_product_attention", fail)


def forbid_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        pytest.fail("took the blocked form")

    monkeypatch.setattr(blocked.BlockedAttention, "apply", fail)


@pytest.mark.parametrize("block", [1, 64, 128])
@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_gradients(
    shape: tuple[int, int, int, int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked, "BLOCK", block)
    case = make_case(shape)
    expected = naive(*case)
    weights = torch.randn(shape)
    expected_gradients = torch.autograd.grad(expected, case, weights.double())
    forbid_torch(monkeypatch)
    found = causal_attention(*case)
    assert found.dtype == torch.float32
    gradients = torch.autograd.grad(found, case, weights)
    # Sums of up to 300 terms of unit size in fp32; torch's form misses by as much.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=2e-5)


def test_later_positions_change_nothing() -> None:
    query, key, value = make_case((1, 2, 200, 4))
    before = causal_attention(query, key, value)
    with torch.no_grad():
        key[:, :, 150:] += 100
        value[:, :, 150:] -= 1e6
    after = causal_attention(query, key, value)
    assert torch.equal(before[:, :, :150], after[:, :, :150])
    assert not torch.equal(before[:, :, 150], after[:, :, 150])


@pytest.mark.parametrize("wanted", range(3))
def test_gradient_of_one_input_alone(wanted: int) -> None:
    case = make_case((2, 2, 30, 4))
    expected = torch.autograd.grad(causal_attention(*case).sum(), case)[wanted]
    alone = [each if index == wanted else each.detach() for index, each in enumerate(case)]
    (found,) = torch.autograd.grad(causal_attention(*alone).sum(), alone[wanted])
    assert torch.equal(found, expected)


def test_nothing_is_kept_where_no_gradient_is_wanted() -> None:
    case = make_case((2, 2, 300, 4))
    with torch.no_grad():
        assert causal_attention(*case).grad_fn is None
    mixed: Any = causal_attention(*case)
    assert len(mixed.grad_fn.saved_tensors) == 3 + 3  # the inputs, and three blocks


@pytest.mark.parametrize("groups", [1, 2])
def test_grouped_heads(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_blocks(monkeypatch)
    query, key, value = make_case((2, 4, 20, 8))
    key, value = key[:, :groups], value[:, :groups]
    repeated = (each.repeat_interleave(4 // groups, dim=1) for each in (key, value))
    found, expected = causal_attention(query, key, value), naive(query, *repeated)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6)


def test_dropout_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_blocks(monkeypatch)
    case = make_case((2, 2, 20, 8))
    torch.manual_seed(5)
    found = causal_attention(*case, dropout=0.3)
    torch.manual_seed(5)
    expected = F.scaled_dot_product_attention(*case, dropout_p=0.3, is_causal=True)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_are_torchs(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_blocks(monkeypatch)
    case = make_case((2, 2, 20, 8), dtype)
    assert torch.equal(
        causal_attention(*case), F.scaled_dot_product_attention(*case, is_causal=True)
    )


def test_large_problems_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_blocks(monkeypatch)
    monkeypatch.setattr(function, "_MAX_ELEMENTS", 2 * 2 * 20**2 // 2 - 1)
    assert causal_attention(*make_case((2, 2, 20, 8))).shape == (2, 2, 20, 8)


def test_the_forward_pass_alone_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_blocks(monkeypatch)
    case = make_case((2, 2, 20, 8))
    with torch.no_grad():
        assert torch.equal(
            causal_attention(*case), F.scaled_dot_product_attention(*case, is_causal=True)
        )


def test_no_sequences() -> None:
    assert causal_attention(*make_case((0, 2, 20, 8))).shape == (0, 2, 20, 8)


def test_second_derivatives_under_the_math_form() -> None:
    case = make_case((1, 2, 6, 3), torch.float32)
    with sdpa_kernel(SDPBackend.MATH):
        loss = causal_attention(*case).pow(2).sum()
    expected_loss = naive(*case).pow(2).sum()
    second = []
    for each in (loss, expected_loss):
        first = torch.autograd.grad(each, case[0], create_graph=True)[0]
        second.append(torch.autograd.grad(first.sum(), case)[0].double())
    torch.testing.assert_close(second[0], second[1], rtol=0, atol=1e-4)


def test_create_graph_is_refused() -> None:
    case = make_case((1, 2, 6, 3))
    with pytest.raises(RuntimeError, match=r"create_graph=False; .*sdpa_kernel"):
        torch.autograd.grad(causal_attention(*case).sum(), case, create_graph=True)


def test_compiled_code_may_call_it() -> None:
    case = make_case((2, 2, 20, 8))
    compiled: Any = torch.compile(causal_attention, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*case), causal_attention(*case), rtol=0, atol=3e-6)
