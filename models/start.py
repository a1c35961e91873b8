"""The job that measures where a run starts: alignment of its updates, curvature, rounding.

All of it at the initial weights, which are those of the run with the same spec and seed.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curricle.core.jobs import StartSpec
from curricle.core.order_file import batch_at, read_order
from curricle.core.seeds import derive_seed
from curricle.core.token_dataset import TokenDataset
from curricle.models.decoder import Decoder, build_model
from curricle.models.first_updates import FirstUpdates, cosine, first_updates, still_shares
from curricle.models.flops import forward_flops_per_token
from curricle.models.hessian import BatchLoss, Product
from curricle.models.lanczos import extreme_eigenvalues
from curricle.models.placement import Placement
from curricle.models.sharpness import held_out_batch
from curricle.models.validation import select_samples

RESULT = "start.json"
MICRO_BATCH = 16


def measure_start(
    spec: StartSpec, inputs: Mapping[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Measure the start of a run on `inputs["dataset"]` in `inputs["order"]`.

    - `training_loss`: mean loss of the batches; `validation_loss`: mean over the domains.
    - `gradient_cosine`, `update_cosine`: of the recipe's mean gradient, and of Adam's mean update,
      with the gradient of the validation loss.
    - `gain`: first-order fall of the validation loss per step and unit of learning rate.
    - `still_fp32`, `still_bf16`: see `still_shares`, one number per learning rate.
    - `largest_eigenvalue` of the validation loss's Hessian H, and `preconditioned_eigenvalue` of
      P^(-1/2) H P^(-1/2) with Adam's preconditioner P, each with `..._residual`; where asked for.
    - `flops`: what it cost.
    """
    model = build_model(spec.model, spec.seed).to(placement.device)
    dataset = TokenDataset(inputs["dataset"], spec.model.sequence_length)
    order = read_order(inputs["order"], len(dataset))[: spec.batches * spec.batch_size]
    losses: list[float] = []

    def gradients() -> Iterator[Tensor]:
        for step in range(len(order) // spec.batch_size):
            windows = dataset.read(batch_at(order, step, spec.batch_size))
            loss = BatchLoss(model, torch.from_numpy(windows), MICRO_BATCH)
            losses.append(loss.value())
            yield loss.gradient(list(model.parameters()))

    updates = first_updates(gradients(), spec.optimizer)
    validation = TokenDataset(inputs["validation"], spec.model.sequence_length)
    value, wanted_P, samples = _validation_gradient(model, validation, spec)
    curvature, products = _curvature(model, validation, updates, spec)
    found = {
        "training_loss": float(np.mean(losses)),
        "validation_loss": value,
        "gradient_cosine": cosine(updates.gradient, wanted_P),
        "update_cosine": cosine(updates.mean_update, wanted_P),
        "gain": float(updates.mean_update.double() @ wanted_P.double()),
        **_rounding(model, updates, spec),
        **curvature,
        "flops": _flops(spec, len(order), samples, products),
    }
    (output / RESULT).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def _validation_gradient(
    model: Decoder, validation: TokenDataset, spec: StartSpec
) -> tuple[float, Tensor, int]:
    """The loss averaged over domains, its gradient (P,), and the samples it is taken over."""
    samples = select_samples(validation, spec.validation_tokens_per_domain)
    domain_of = validation.domain_of_samples()[samples]
    values, gradients = [], []
    for index in range(len(validation.domains)):
        windows = validation.read(samples[domain_of == index])
        loss = BatchLoss(model, torch.from_numpy(windows), MICRO_BATCH)
        values.append(loss.value())
        gradients.append(loss.gradient(list(model.parameters())))
    return float(np.mean(values)), torch.stack(gradients).mean(0), len(samples)


def _rounding(model: Decoder, updates: FirstUpdates, spec: StartSpec) -> dict[str, list[float]]:
    weights_P = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
    return {
        f"still_{name}": still_shares(weights_P, updates.last_update, spec.learning_rates, dtype)
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    }


def _curvature(
    model: Decoder, validation: TokenDataset, updates: FirstUpdates, spec: StartSpec
) -> tuple[dict[str, float], int]:
    """The largest eigenvalues, plain and preconditioned, and the products they took."""
    if not spec.products:
        return {}, 0
    windows_BT1 = held_out_batch(validation, spec.curvature_samples, spec.seed)
    product = BatchLoss(model, windows_BT1).hessian_product(list(model.parameters()))
    root_P = updates.root_preconditioner

    def preconditioned(vector_P: Tensor) -> Tensor:
        return root_P * product(root_P * vector_P)

    operators: dict[str, Product] = {"largest": product, "preconditioned": preconditioned}
    draw = torch.Generator().manual_seed(derive_seed(spec.seed, "start"))
    start_P = torch.randn(len(root_P), generator=draw).to(root_P)
    found: dict[str, float] = {}
    count = 0
    for name, operator in operators.items():
        spectrum = extreme_eigenvalues(
            operator, start_P, spec.products, spec.tolerance, smallest=False
        )
        found[f"{name}_eigenvalue"] = spectrum.largest.eigenvalue
        found[f"{name}_residual"] = spectrum.largest.residual
        count += spectrum.iterations
    return found, count


def _flops(spec: StartSpec, read: int, validated: int, products: int) -> int:
    """A loss costs one forward pass, a gradient three, a product two of a gradient's."""
    length, per_token = spec.model.sequence_length, forward_flops_per_token(spec.model)
    passes = 4 * (read + validated) + 6 * products * spec.curvature_samples
    return passes * length * per_token
