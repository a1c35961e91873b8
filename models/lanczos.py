"""Both ends of a symmetric operator's spectrum, and its trace, from products with vectors alone.

Shape suffixes: P dimension of the operator, K vectors of the basis.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from curricle.core.errors import JobError

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class End:
    """An extreme eigenvalue; `residual` bounds its relative error (see `extreme_eigenvalues`)."""

    eigenvalue: float
    residual: float
    converged: bool


@dataclass(frozen=True)
class Spectrum:
    """The two ends, and how many products they took."""

    largest: End
    smallest: End
    iterations: int


@dataclass(frozen=True)
class Trace:
    """An estimate of the trace and its standard error, from so many samples."""

    value: float
    error: float
    samples: int


def extreme_eigenvalues(
    product: Product,
    start_P: Tensor,
    max_iterations: int,
    tolerance: float,
    *,
    smallest: bool = True,
) -> Spectrum:
    """The most positive and the most negative eigenvalue of the operator behind `product`.

    Lanczos with full reorthogonalisation, from `start_P`; both ends come from one Krylov space. The
    residual norm of a Ritz pair, |beta| times the last entry of its vector (but no less than the
    rounding), bounds the distance to the next eigenvalue. `residual` is that over the eigenvalue's
    magnitude, or over `tolerance` times the largest magnitude where that is more: nothing smaller
    can be told from zero. It ends when both residuals are at most `tolerance` (with
    `smallest=False` the largest eigenvalue's), or after `max_iterations` products. Raises JobError
    for a product that isn't finite.
    """
    limit = min(max_iterations, start_P.numel())
    rounding = torch.finfo(start_P.dtype).eps
    basis_KP = start_P.new_empty(limit, start_P.numel())
    vector_P = start_P / start_P.norm()
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for count in range(1, limit + 1):
        basis_KP[count - 1] = vector_P
        candidate_P = product(vector_P)
        diagonal.append(float(torch.dot(candidate_P, vector_P)))
        for _ in range(2):  # one pass leaves rounding errors behind, two are enough (Parlett)
            candidate_P -= basis_KP[:count].T @ (basis_KP[:count] @ candidate_P)
        beta = float(candidate_P.norm())
        if not math.isfinite(beta):
            raise JobError(f"Hessian-vector product {count} of Lanczos is not finite")
        spectrum = _spectrum(diagonal, off_diagonal, beta, tolerance, rounding)
        ends = [spectrum.largest, spectrum.smallest] if smallest else [spectrum.largest]
        if beta == 0.0 or all(end.converged for end in ends):
            break
        off_diagonal.append(beta)
        vector_P = candidate_P / beta
    return spectrum


def hutchinson_trace(product: Product, like_P: Tensor, samples: int, seed: int) -> Trace:
    """Trace of the operator behind `product` on vectors like `like_P`.

    The mean of v.Hv over Rademacher vectors v (Hutchinson 1990), which are unbiased and have the
    smallest variance among vectors of independent entries. With one sample the error is NaN.
    """
    draw = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(samples):
        signs_P = torch.randint(2, like_P.shape, generator=draw, dtype=torch.int8)
        vector_P = signs_P.to(like_P).mul_(2).sub_(1)
        values.append(float(torch.dot(product(vector_P), vector_P)))
    error = float(np.std(values, ddof=1)) / math.sqrt(samples) if samples > 1 else math.nan
    return Trace(float(np.mean(values)), error, samples)


def _spectrum(
    diagonal: list[float],
    off_diagonal: list[float],
    beta: float,
    tolerance: float,
    rounding: float,
) -> Spectrum:
    tridiagonal = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
    values, vectors = np.linalg.eigh(tridiagonal)
    norm = float(np.abs(values).max())
    largest, smallest = (
        _end(
            float(values[at]),
            max(beta * abs(float(vectors[-1, at])), rounding * norm),
            floor=tolerance * norm,
            tolerance=tolerance,
        )
        for at in (-1, 0)
    )
    return Spectrum(largest, smallest, len(diagonal))


def _end(eigenvalue: float, error: float, *, floor: float, tolerance: float) -> End:
    scale = max(abs(eigenvalue), floor)
    residual = error / scale if scale else 0.0
    return End(eigenvalue, residual, residual <= tolerance)
