"""Least squares for value = recipe + seed + error, on tables with missing cells."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ROUNDING = 1e-13
"""A residual standard deviation below this share of the values' size is rounding, not noise."""

_SINGULAR = 1e-9


@dataclass(frozen=True)
class AdditiveFit:
    """Result of `fit_additive` for R recipes and S seeds.

    `means` (R,) are the recipes' means at the average seed, over `runs` (R,) runs each.
    `covariance` (R, R) is that of the means divided by the error variance: diag(1 / runs) +
    factor factor^T with `factor` (R, S). `effects` (S,) are the seeds' deviations, which sum to 0;
    0 where the seed has no value. `variance` is the error variance (None without
    `degrees_of_freedom`). `blocked` tells whether seeds are in the model.
    """

    means: Floats
    runs: Floats
    covariance: Floats
    factor: Floats
    effects: Floats
    variance: float | None
    degrees_of_freedom: int
    blocked: bool


def fit_additive(values: Floats) -> AdditiveFit:
    """Fit recipe and seed effects to `values` (R, S), NaN where a run is missing.

    Every row holds a number. Where the runs don't connect all recipes through shared seeds (each
    run has a seed of its own, say) seeds can't be told from recipes: they are left out of the
    model, and what they contribute counts as error.

    Seeds are few and recipes many, so the recipes are eliminated from the normal equations and an
    S x S system is left: 1,000 recipes cost milliseconds.
    """
    present = np.isfinite(values)
    runs = present.sum(axis=1)
    centre = float(values[present].mean())
    filled = np.where(present, values - centre, 0.0)
    incidence = present.astype(float)
    reduced = np.diag(present.sum(axis=0)) - incidence.T @ (incidence / runs[:, None])
    used = int(present.any(axis=0).sum())
    root, rank = _root_of_inverse(reduced)
    blocked = rank == used - 1
    if not blocked:
        root = np.zeros_like(root)
    inverse = root @ root.T
    effects = inverse @ (filled.sum(axis=0) - incidence.T @ (filled.sum(axis=1) / runs))
    means = (filled.sum(axis=1) - incidence @ effects) / runs
    shares = incidence / runs[:, None]
    factor = shares @ root
    residuals = np.where(present, filled - means[:, None] - effects, 0.0)
    degrees = int(present.sum()) - len(values) - (used - 1 if blocked else 0)
    return AdditiveFit(
        means=means + centre,
        runs=runs.astype(float),
        covariance=np.diag(1.0 / runs) + factor @ factor.T,
        factor=factor,
        effects=effects,
        variance=_variance(residuals, degrees, values[present]),
        degrees_of_freedom=degrees,
        blocked=blocked,
    )


def _root_of_inverse(symmetric: Floats) -> tuple[Floats, int]:
    """A matrix whose product with its transpose is the pseudo-inverse, and the rank."""
    values, vectors = np.linalg.eigh(symmetric)
    kept = values > _SINGULAR * values[-1]
    scale = np.where(kept, values, np.inf) ** -0.5
    return vectors * scale, int(kept.sum())


def _variance(residuals: Floats, degrees_of_freedom: int, values: Floats) -> float | None:
    if degrees_of_freedom < 1:
        return None
    variance = float((residuals**2).sum()) / degrees_of_freedom
    return 0.0 if np.sqrt(variance) <= _ROUNDING * np.abs(values).max() else variance
