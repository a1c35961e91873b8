"""SAM, adaptive SAM and critical sharpness against their formulas on losses in closed form."""

import pytest
import torch
from torch import Tensor, nn

from curricle.models.perturbation import (
    Line,
    adaptive_sam_sharpness,
    critical_sharpness,
    sam_sharpness,
)

CURVATURES = torch.tensor([9.0, 4.0, 1.0, 0.5, -0.2], dtype=torch.float64)
WEIGHTS = torch.tensor([0.3, -1.2, 0.0, 2.0, -0.7], dtype=torch.float64)
GRADIENT = CURVATURES * WEIGHTS


def quadratic(weights: Tensor) -> float:
    return (CURVATURES * weights**2).sum().item() / 2


def make_line() -> tuple[Line, list[nn.Parameter]]:
    """The loss's five weights in two parameters, one of them a matrix."""
    parameters = [nn.Parameter(WEIGHTS[:4].view(2, 2).clone()), nn.Parameter(WEIGHTS[4:].clone())]

    def loss() -> float:
        return quadratic(torch.cat([each.detach().flatten() for each in parameters]))

    return Line(loss, parameters), parameters


@pytest.mark.parametrize("radius", [0.05, 0.7])
def test_sam_is_its_formula(radius: float) -> None:
    line, parameters = make_line()
    step = radius * GRADIENT / (GRADIENT @ GRADIENT) ** 0.5
    expected = quadratic(WEIGHTS + step) - quadratic(WEIGHTS)
    assert sam_sharpness(line, GRADIENT, radius) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(parameters[0], WEIGHTS[:4].view(2, 2))
    assert line.looks == 2


def test_sam_is_the_largest_rise_in_a_small_ball() -> None:
    line, _ = make_line()
    draw = torch.Generator().manual_seed(0)
    directions = torch.randn(4000, 5, generator=draw, dtype=torch.float64)
    steps = 1e-4 * directions / directions.norm(dim=1, keepdim=True)
    largest = max(quadratic(WEIGHTS + step) for step in steps) - quadratic(WEIGHTS)
    found = sam_sharpness(line, GRADIENT, 1e-4)
    assert largest <= found * (1 + 1e-3)
    assert largest == pytest.approx(found, rel=0.05)


def test_adaptive_sam_is_its_formula() -> None:
    line, parameters = make_line()
    scale = torch.diag(WEIGHTS.abs())
    step = 0.5 * scale @ scale @ GRADIENT / torch.linalg.vector_norm(scale @ GRADIENT)
    expected = quadratic(WEIGHTS + step) - quadratic(WEIGHTS)
    assert adaptive_sam_sharpness(line, GRADIENT, 0.5) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(parameters[1], WEIGHTS[4:])


def test_rescaling_a_layer_against_the_next_leaves_adaptive_sam_alone() -> None:
    """A product of two weights stays what it is if one is doubled and the other halved."""
    found: dict[str, list[float]] = {"sam": [], "adaptive": []}
    for factor in (1.0, 10.0):
        first = nn.Parameter(torch.tensor([0.8 * factor], dtype=torch.float64))
        second = nn.Parameter(torch.tensor([1.1 / factor], dtype=torch.float64))

        def loss(a: nn.Parameter = first, b: nn.Parameter = second) -> Tensor:
            return ((a * b - 2.0) ** 2).sum()

        gradient = torch.cat(torch.autograd.grad(loss(), [first, second]))
        line = Line(lambda loss=loss: loss().item(), [first, second])  # type: ignore[misc]
        found["sam"].append(sam_sharpness(line, gradient, 0.05))
        found["adaptive"].append(adaptive_sam_sharpness(line, gradient, 0.05))
    assert found["adaptive"][0] == pytest.approx(found["adaptive"][1], rel=1e-12)
    assert found["sam"][1] > 3 * found["sam"][0]


@pytest.mark.parametrize("first_step", [1e-6, 0.21, 1e4])
def test_critical_sharpness_of_a_quadratic_is_the_curvature_along_its_gradient(
    first_step: float,
) -> None:
    line, parameters = make_line()
    expected = (GRADIENT @ (CURVATURES * GRADIENT) / (GRADIENT @ GRADIENT)).item()
    found = critical_sharpness(line, GRADIENT, first_step)
    assert found.sharpness == pytest.approx(expected, rel=0.01)
    assert found.step == pytest.approx(2 / expected, rel=0.01)
    assert torch.equal(parameters[0], WEIGHTS[:4].view(2, 2))


def test_critical_sharpness_needs_few_looks() -> None:
    line, _ = make_line()
    critical_sharpness(line, GRADIENT, 0.2)
    assert line.looks <= 10


def test_a_loss_that_falls_for_ever_has_no_critical_step() -> None:
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    line = Line(weight.item, [weight])
    assert critical_sharpness(line, torch.ones(1).double(), 0.1).sharpness is None


def test_at_a_stationary_point_nothing_rises() -> None:
    weight = nn.Parameter(torch.zeros(3))
    line = Line(lambda: weight.square().sum().item(), [weight])
    assert sam_sharpness(line, torch.zeros(3), 0.05) == 0.0
    assert adaptive_sam_sharpness(line, torch.zeros(3), 0.05) == 0.0


def test_a_loss_that_overflows_counts_as_higher() -> None:
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))

    def loss() -> float:
        return float("nan") if weight.item() < 0 else weight.item()

    found = critical_sharpness(Line(loss, [weight]), torch.ones(1).double(), 0.01)
    assert found.step == pytest.approx(2.0, rel=0.02)
