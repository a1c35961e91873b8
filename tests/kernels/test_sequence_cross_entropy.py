"""The mean of each sequence against the naive form, sequence by sequence, in fp64."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from curricle.kernels.linear_cross_entropy import sequence_cross_entropy


def naive(hidden_TC: Tensor, weight_VC: Tensor, target_T: Tensor) -> Tensor:
    return F.cross_entropy(hidden_TC.double() @ weight_VC.double().T, target_T)


@pytest.mark.parametrize("grad", [False, True])
def test_mean_of_each_sequence(grad: bool) -> None:
    torch.manual_seed(0)
    hidden_BTC = torch.randn(7, 4, 5).transpose(0, 1).requires_grad_()
    weight_VC = torch.randn(11, 5, requires_grad=True)
    target_BT = torch.randint(0, 11, (4, 7))
    target_BT[0, 3:], target_BT[2, 0] = -100, -100
    expected_B = torch.stack(
        [naive(hidden_BTC[row], weight_VC, target_BT[row]) for row in range(4)]
    )
    with torch.set_grad_enabled(grad):
        found_B = sequence_cross_entropy(hidden_BTC, weight_VC, target_BT)
    torch.testing.assert_close(found_B.double(), expected_B, rtol=0, atol=1e-6)
    if grad:
        found, expected = (
            torch.autograd.grad(loss_B, (hidden_BTC, weight_VC), torch.arange(1, 5).to(loss_B))
            for loss_B in (found_B, expected_B)
        )
        for gradient, expected_gradient in zip(found, expected, strict=True):
            torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-5)


def test_a_sequence_that_is_ignored_has_no_mean_and_no_gradient() -> None:
    hidden_BTC, weight_VC = torch.randn(2, 3, 4, requires_grad=True), torch.randn(5, 4)
    target_BT = torch.tensor([[-100] * 3, [0, 1, 2]])
    loss_B = sequence_cross_entropy(hidden_BTC, weight_VC, target_BT)
    assert loss_B.isnan().tolist() == [True, False]
    (gradient,) = torch.autograd.grad(loss_B[1], hidden_BTC)
    assert (gradient[0] == 0).all()
    assert (gradient[1] != 0).any()


@pytest.mark.parametrize("shape", [(6,), (3, 2), (2, 3, 1)])
def test_wrong_shape_of_sequences(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"hidden, target: .* expected \(B, T, C\), \(B, T\)"):
        sequence_cross_entropy(torch.ones(2, 3, 4), torch.ones(5, 4), torch.zeros(shape).long())
