"""Sharpness: the largest eigenvalue of the loss's Hessian, by Lanczos."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from curricle.core.jobs import SharpnessSpec
from curricle.core.seeds import derive_seed, generator
from curricle.core.token_dataset import TokenDataset
from curricle.models.checkpoint import load_model
from curricle.models.decoder import Decoder
from curricle.models.flops import training_flops_per_token

RESULT = "sharpness.json"


def sharpness(spec: SharpnessSpec, inputs: dict[str, Path], output: Path) -> dict[str, Any]:
    """Largest Hessian eigenvalue of `inputs["checkpoint"]` on a fixed batch of `validation`.

    The batch and the starting vector depend on the spec's seed alone, so that all arms share them.
    Returns the eigenvalue, its relative residual, the iterations, and whether it converged.
    """
    model = load_model(inputs["checkpoint"])
    dataset = TokenDataset(inputs["validation"], model.spec.sequence_length)
    picks = generator(spec.seed, "sharpness", "batch")
    samples = np.sort(picks.choice(len(dataset), min(spec.batch_size, len(dataset)), replace=False))
    windows_BT1 = torch.from_numpy(dataset.read(samples))
    product, size = hessian_product(model, windows_BT1)
    start = torch.Generator().manual_seed(derive_seed(spec.seed, "sharpness", "start"))
    result = lanczos_largest(
        product, torch.randn(size, generator=start), spec.max_iterations, spec.tolerance
    )
    (output / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    tokens = len(samples) * model.spec.sequence_length
    # A Hessian-vector product costs about two gradients.
    flops = 2 * result["iterations"] * tokens * training_flops_per_token(model.spec)
    return {**result, "flops": flops}


def hessian_product(model: Decoder, windows_BT1: Tensor) -> tuple[Callable[[Tensor], Tensor], int]:
    """The map v -> H v for the mean loss over `windows_BT1` and all parameters, and its dimension.

    Double backward needs attention and cross-entropy in their plain forms. The gradient's graph is
    built once and kept; a product is one more backward pass through it.
    """
    parameters = list(model.parameters())
    with sdpa_kernel(SDPBackend.MATH):
        logits_NV = model.logits(model.hidden(windows_BT1[:, :-1])).flatten(0, 1)
        loss = F.cross_entropy(logits_NV, windows_BT1[:, 1:].flatten())
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    flat_gradient = torch.cat([gradient.reshape(-1) for gradient in gradients])

    def product(vector: Tensor) -> Tensor:
        parts = torch.autograd.grad(flat_gradient, parameters, vector, retain_graph=True)
        return torch.cat([part.reshape(-1) for part in parts])

    return product, flat_gradient.numel()


def lanczos_largest(
    product: Callable[[Tensor], Tensor], start: Tensor, max_iterations: int, tolerance: float
) -> dict[str, Any]:
    """Largest (most positive) eigenvalue of a symmetric operator on vectors like `start`.

    Lanczos with full reorthogonalisation. The residual norm of the leading Ritz pair, |beta| times
    the last entry of its vector, bounds the eigenvalue's error; `residual` is that over the
    eigenvalue's magnitude.
    """
    basis = [start / start.norm()]
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    eigenvalue, residual = float("nan"), float("inf")
    for _ in range(min(max_iterations, start.numel())):
        candidate = product(basis[-1])
        diagonal.append(float(torch.dot(candidate, basis[-1])))
        for _ in range(2):  # twice is enough (Parlett): one pass leaves rounding errors behind
            for vector in basis:
                candidate = candidate - torch.dot(candidate, vector) * vector
        beta = float(candidate.norm())
        tridiagonal = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
        values, vectors = np.linalg.eigh(tridiagonal)
        eigenvalue = float(values[-1])
        residual = abs(beta * float(vectors[-1, -1])) / max(abs(eigenvalue), 1e-30)
        if residual <= tolerance or beta == 0.0:
            break
        off_diagonal.append(beta)
        basis.append(candidate / beta)
    return {
        "largest_eigenvalue": eigenvalue,
        "residual": residual,
        "iterations": len(diagonal),
        "converged": residual <= tolerance,
    }
