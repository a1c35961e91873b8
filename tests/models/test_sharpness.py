from collections.abc import Callable

import pytest
import torch
from torch.func import functional_call, hessian
from torch.nn import functional as F

from curricle.core.jobs import ModelSpec
from curricle.models.decoder import Decoder, build_model
from curricle.models.sharpness import hessian_product, lanczos_largest

SMALL = ModelSpec(
    family="gpt2", num_layers=1, width=4, num_heads=1, vocabulary_size=7, sequence_length=5
)


def symmetric(eigenvalues: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = len(eigenvalues)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return basis @ torch.diag(eigenvalues) @ basis.T


def multiply(matrix: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda vector: matrix @ vector


@pytest.mark.parametrize(
    "top",
    [[5.0, 1.0], [5.0, 4.9], [2.0, -9.0]],
    ids=["apart", "close", "largest absolute one negative"],
)
def test_lanczos_finds_the_most_positive_eigenvalue(top: list[float]) -> None:
    rest = torch.linspace(-0.5, 0.5, 60, dtype=torch.float64)
    matrix = symmetric(torch.cat([torch.tensor(top, dtype=torch.float64), rest]), seed=0)
    start = torch.randn(62, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = lanczos_largest(multiply(matrix), start, max_iterations=62, tolerance=1e-4)
    assert result["converged"]
    assert result["largest_eigenvalue"] == pytest.approx(max(top), rel=1e-3)


def test_too_few_iterations_are_reported() -> None:
    matrix = symmetric(torch.linspace(0, 1, 80, dtype=torch.float64), seed=0)
    start = torch.randn(80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = lanczos_largest(multiply(matrix), start, max_iterations=3, tolerance=1e-6)
    assert not result["converged"]
    assert result["iterations"] == 3


def dense_hessian(model: Decoder, windows: torch.Tensor) -> torch.Tensor:
    names = [name for name, _ in model.named_parameters()]
    sizes = [parameter.shape for parameter in model.parameters()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = torch.split(flat, [size.numel() for size in sizes])
        weights = {n: p.view(s) for n, p, s in zip(names, parts, sizes, strict=True)}
        hidden = functional_call(model, weights, (windows[:, :-1],))
        logits = F.linear(hidden, weights["tokens.weight"])
        return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())

    flat = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
    return hessian(loss)(flat)


class Hidden(Decoder):
    """The decoder with `forward` giving hidden states, so that functional_call can reach them."""

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.hidden(tokens_BT)


def test_the_models_eigenvalue_equals_the_dense_hessians() -> None:
    model = build_model(SMALL, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)  # away from the nearly linear start
    model = model.double()
    windows = torch.randint(7, (6, 6), generator=torch.Generator().manual_seed(0))
    twin = Hidden(SMALL).double()
    twin.load_state_dict(model.state_dict())
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        expected = torch.linalg.eigvalsh(dense_hessian(twin, windows))[-1].item()
    product, size = hessian_product(model, windows)
    start = torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = lanczos_largest(product, start, max_iterations=100, tolerance=1e-5)
    assert result["largest_eigenvalue"] == pytest.approx(expected, rel=1e-3)
