import pytest
import torch

from curricle.core.jobs import ModelSpec
from curricle.models.decoder import build_model
from curricle.models.quantization import round_weights, rounded


@pytest.mark.parametrize("bits", [2, 6, 8])
def test_rows_lie_on_a_grid_and_are_off_by_half_a_step_at_most(bits: int) -> None:
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    step = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    found = rounded(weight, bits)
    levels = found / step
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert levels.abs().max() == pytest.approx(2 ** (bits - 1) - 1)
    assert torch.all((found - weight).abs() <= step / 2 + 1e-6)


def test_rows_of_zeros_stay() -> None:
    assert torch.equal(rounded(torch.zeros(2, 3), 6), torch.zeros(2, 3))


def test_matrices_are_rounded_and_norms_are_not(model_spec: ModelSpec) -> None:
    model, same = build_model(model_spec, 0), build_model(model_spec, 0)
    for parameter in (*model.parameters(), *same.parameters()):
        torch.nn.init.uniform_(parameter, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
    round_weights(model, 6)
    for (name, after), before in zip(model.named_parameters(), same.parameters(), strict=True):
        assert torch.equal(after, before) == (before.dim() != 2), name
