"""Both ends of a symmetric operator's spectrum, and its trace, from products with vectors alone.

Both can be left and taken up again, to the same bits: `look` is called between products with what
`kept` wants back.

Shape suffixes: P dimension of the operator, K vectors of the basis, N products so far.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from curricle.core.errors import JobError

Product = Callable[[Tensor], Tensor]
Tensors = Mapping[str, Tensor]
# Told between products what `kept` wants back, which is made only if it is wanted.
Look = Callable[[Callable[[], Tensors]], None]


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


class Krylov:
    """A Krylov space as far as it has grown: its orthonormal basis, and the operator within it.

    `multiply` takes the next step of Lanczos with full reorthogonalisation, from `start_P` on, or
    from where `kept` (an earlier one's `tensors`) was.
    """

    def __init__(self, start_P: Tensor, limit: int, kept: Tensors) -> None:
        self._basis_KP = start_P.new_empty(limit, start_P.numel())
        self._basis_KP[0] = start_P / start_P.norm()
        self.diagonal: list[float] = []
        self.off_diagonal: list[float] = []
        if kept:
            self.diagonal = kept["diagonal"].tolist()
            self.off_diagonal = kept["off_diagonal"].tolist()
            self._basis_KP[: len(kept["basis"])] = kept["basis"].to(start_P)

    @property
    def products(self) -> int:
        """Products so far, N."""
        return len(self.diagonal)

    def multiply(self, product: Product) -> float:
        """Take another product; returns the norm of what it brings beyond the space so far.

        Raises JobError if that isn't finite.
        """
        vector_P, known_NP = self._basis_KP[self.products], self._basis_KP[: self.products + 1]
        candidate_P = product(vector_P)
        self.diagonal.append(float(torch.dot(candidate_P, vector_P)))
        for _ in range(2):  # one pass leaves rounding errors behind, two are enough (Parlett)
            candidate_P -= known_NP.T @ (known_NP @ candidate_P)
        beta = float(candidate_P.norm())
        if not math.isfinite(beta):
            raise JobError(f"Hessian-vector product {self.products} of Lanczos is not finite")
        if beta and self.products < len(self._basis_KP):
            self.off_diagonal.append(beta)
            self._basis_KP[self.products] = candidate_P / beta
        return beta

    def tensors(self) -> dict[str, Tensor]:
        """What another one needs to go on: N + 1 vectors and as many numbers as there are."""
        return {
            "basis": self._basis_KP[: self.products + 1].cpu(),
            "diagonal": torch.tensor(self.diagonal, dtype=torch.float64),
            "off_diagonal": torch.tensor(self.off_diagonal, dtype=torch.float64),
        }


def extreme_eigenvalues(
    product: Product,
    start_P: Tensor,
    max_iterations: int,
    tolerance: float,
    *,
    smallest: bool = True,
    kept: Tensors | None = None,
    look: Look | None = None,
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
    krylov = Krylov(start_P, limit, kept or {})
    while True:
        beta = krylov.multiply(product)
        inner = krylov.off_diagonal[: krylov.products - 1]
        spectrum = _spectrum(krylov.diagonal, inner, beta, tolerance, rounding)
        ends = [spectrum.largest, spectrum.smallest] if smallest else [spectrum.largest]
        done = beta == 0.0 or krylov.products == limit
        if done or all(end.converged for end in ends):
            return spectrum
        if look:
            look(krylov.tensors)


def hutchinson_trace(
    product: Product,
    like_P: Tensor,
    samples: int,
    seed: int,
    *,
    kept: Tensors | None = None,
    look: Look | None = None,
) -> Trace:
    """Trace of the operator behind `product` on vectors like `like_P`.

    The mean of v.Hv over Rademacher vectors v (Hutchinson 1990), which are unbiased and have the
    smallest variance among vectors of independent entries. With one sample the error is NaN.
    """
    draw = torch.Generator().manual_seed(seed)
    values: list[float] = kept["samples"].tolist() if kept else []
    known = len(values)
    for sample in range(samples):
        signs_P = torch.randint(2, like_P.shape, generator=draw, dtype=torch.int8)
        if sample < known:
            continue
        vector_P = signs_P.to(like_P).mul_(2).sub_(1)
        values.append(float(torch.dot(product(vector_P), vector_P)))
        if look and len(values) < samples:
            look(lambda: {"samples": torch.tensor(values, dtype=torch.float64)})
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
