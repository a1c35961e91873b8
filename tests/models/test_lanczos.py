"""Lanczos and Hutchinson on matrices whose eigenvalues are known."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from curricle.core.errors import JobError
from curricle.models.lanczos import extreme_eigenvalues, hutchinson_trace

SIZE = 62


def symmetric(eigenvalues: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = len(eigenvalues)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return basis @ torch.diag(eigenvalues) @ basis.T


def multiply(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda vector: matrix @ vector


def start(size: int = SIZE, seed: int = 1) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    "ends",
    [(5.0, 1.0, -0.6), (5.0, 4.9, -0.6), (2.0, 1.0, -9.0), (-0.5, -0.6, -7.0), (5.0, 1.0, 0.01)],
    ids=["apart", "close", "largest absolute one negative", "all negative", "all positive"],
)
def test_both_ends_come_from_one_space(ends: tuple[float, float, float]) -> None:
    top, second, bottom = ends
    inner = torch.linspace(bottom, second, SIZE, dtype=torch.float64)[1:-1]
    eigenvalues = torch.cat([torch.tensor(ends, dtype=torch.float64), inner])[:SIZE]
    matrix = symmetric(eigenvalues, seed=0)
    found = extreme_eigenvalues(multiply(matrix), start(len(matrix)), SIZE, tolerance=1e-4)
    assert found.largest.converged
    assert found.smallest.converged
    assert found.largest.eigenvalue == pytest.approx(top, rel=1e-3)
    assert found.smallest.eigenvalue == pytest.approx(bottom, rel=1e-3)


def test_the_residual_bounds_the_error_at_every_iteration() -> None:
    matrix = symmetric(torch.linspace(-3, 8, SIZE, dtype=torch.float64) ** 3, seed=2)
    eigenvalues = torch.linalg.eigvalsh(matrix)
    for count in range(1, 30):
        found = extreme_eigenvalues(multiply(matrix), start(), count, tolerance=0.0)
        for end in (found.largest, found.smallest):
            nearest = (eigenvalues - end.eigenvalue).abs().min().item()
            assert nearest <= end.residual * abs(end.eigenvalue) * (1 + 1e-9)


def test_no_more_products_than_the_wanted_end_needs() -> None:
    eigenvalues = torch.cat([torch.tensor([50.0]), torch.linspace(-1, 1, SIZE - 1)]).double()
    matrix = symmetric(eigenvalues, seed=0)
    products: list[Tensor] = []

    def product(vector: Tensor) -> Tensor:
        products.append(vector)
        return matrix @ vector

    one = extreme_eigenvalues(product, start(), SIZE, 1e-3, smallest=False)
    assert one.iterations == len(products)
    both = extreme_eigenvalues(product, start(), SIZE, 1e-3)
    assert one.iterations + both.iterations == len(products)
    assert one.iterations < both.iterations


def test_the_basis_stays_orthogonal_in_fp32() -> None:
    # Without reorthogonalisation the converged large eigenvalue comes back as a ghost.
    eigenvalues = torch.cat([torch.tensor([1e4]), torch.linspace(-1, 1, 399)])
    matrix = symmetric(eigenvalues.double(), seed=0).float()
    vectors: list[Tensor] = []

    def product(vector: Tensor) -> Tensor:
        vectors.append(vector.clone())
        return matrix @ vector

    extreme_eigenvalues(product, start(400).float(), 60, tolerance=0.0)
    basis = torch.stack(vectors).double()
    assert (basis @ basis.T - torch.eye(len(basis), dtype=torch.float64)).abs().max() < 1e-5


def test_too_few_iterations_are_reported() -> None:
    matrix = symmetric(torch.linspace(0, 1, 80, dtype=torch.float64), seed=0)
    found = extreme_eigenvalues(multiply(matrix), start(80), 3, tolerance=1e-6)
    assert found.iterations == 3
    assert not found.largest.converged
    assert found.largest.residual > 1e-6


def test_an_operator_of_zeros_has_the_eigenvalue_zero() -> None:
    found = extreme_eigenvalues(torch.zeros_like, start(), SIZE, tolerance=1e-3)
    assert (found.largest.eigenvalue, found.smallest.eigenvalue) == (0.0, 0.0)
    assert found.iterations == 1


def test_a_product_that_is_no_number_is_an_error() -> None:
    with pytest.raises(JobError, match="product 1 of Lanczos is not finite"):
        extreme_eigenvalues(lambda vector: vector * math.nan, start(), SIZE, tolerance=1e-3)


def test_the_trace_lies_within_its_standard_error() -> None:
    """Over 200 seeds the estimates' z-scores look like a standard normal's."""
    matrix = symmetric(torch.linspace(-2, 5, SIZE, dtype=torch.float64), seed=3)
    exact = matrix.trace().item()
    traces = [hutchinson_trace(multiply(matrix), start(), 20, seed) for seed in range(200)]
    scores = [(trace.value - exact) / trace.error for trace in traces]
    mean = sum(scores) / len(scores)
    assert abs(mean) < 3 / math.sqrt(len(scores))
    within = sum(abs(score) < 2.093 for score in scores) / len(scores)  # t of 19 degrees, 95 %
    assert 0.90 < within < 0.99
    # The variance of one sample is twice the sum of the squares off the diagonal.
    off_diagonal = matrix - torch.diag(matrix.diagonal())
    expected = math.sqrt(2 * (off_diagonal**2).sum().item() / 20)
    typical = sum(trace.error for trace in traces) / len(traces)
    assert typical == pytest.approx(expected, rel=0.05)


def test_the_trace_of_a_diagonal_matrix_is_exact() -> None:
    matrix = torch.diag(torch.linspace(-2, 5, SIZE, dtype=torch.float64))
    trace = hutchinson_trace(multiply(matrix), start(), 3, seed=0)
    assert trace.value == pytest.approx(matrix.trace().item())
    assert trace.error == pytest.approx(0.0, abs=1e-9)


class LostPowerError(Exception):
    """Stands for SIGKILL."""


def dying(product: Callable[[Tensor], Tensor], at: int) -> Callable[[Tensor], Tensor]:
    """`product`, which is never answered the `at`th time."""
    calls = iter(range(1, 1000))

    def multiply(vector: Tensor) -> Tensor:
        if next(calls) == at:
            raise LostPowerError
        return product(vector)

    return multiply


@pytest.mark.parametrize("at", [1, 2, 6, 9])
def test_both_go_on_to_the_same_bits(at: int) -> None:
    matrix = symmetric(torch.linspace(-3, 8, SIZE, dtype=torch.float64) ** 3, seed=2).float()
    like = start().float()
    product = multiply(matrix)

    def spectrum(product: Callable[[Tensor], Tensor], **options: Any) -> object:
        return extreme_eigenvalues(product, like, 9, tolerance=0.0, **options)

    def trace(product: Callable[[Tensor], Tensor], **options: Any) -> object:
        return hutchinson_trace(product, like, 9, seed=3, **options)

    looks: list[dict[str, Tensor]] = []
    for measure in (spectrum, trace):
        looks[:] = [{}]
        with pytest.raises(LostPowerError):
            measure(dying(product, at), look=lambda tensors: looks.append(tensors()))
        assert len(looks) == at
        # Ten minus what was done before: the one that would be too many never comes.
        found = measure(dying(product, 11 - at), kept=looks[-1])
        assert found == measure(product)
