"""The training job: a loop on Lightning Fabric that reads a precomputed order.

The batch at step t is a pure function of (order, t), so that a run can be told by its spec, its
dataset and its order, and costs the same under every order.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import torch
from lightning.fabric import Fabric
from torch import nn

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import OptimizerSpec, TrainingSpec
from curricle.core.order_file import Order, batch_at, read_order
from curricle.core.token_dataset import TokenDataset
from curricle.models.checkpoint import intermediate_name, save_spec, save_weights
from curricle.models.decoder import Decoder, build_model, count_parameters
from curricle.models.flops import forward_flops_per_token, training_flops_per_token
from curricle.models.schedule import learning_rate_at
from curricle.models.validation import validate

METRICS = "metrics.jsonl"
LOGGED_POINTS = 50


def train(spec: TrainingSpec, inputs: dict[str, Path], output: Path) -> dict[str, Any]:
    """Train one model; writes weights, `metrics.jsonl` and `validation.parquet` into `output`.

    `inputs`: `dataset` and `validation` (dataset folders), `order`. Returns parameters, FLOPs, the
    loss of the first batch (before any update) and of each validation domain. Raises InputError if
    dataset, order and spec don't fit, JobError if the loss stops being a number.
    """
    length = spec.model.sequence_length
    dataset = TokenDataset(inputs["dataset"], length)
    validation = TokenDataset(inputs["validation"], length)
    order = read_order(inputs["order"], len(dataset))
    if len(order) != spec.samples:
        raise InputError(
            f"order of {len(order)} samples",
            expected=f"{spec.samples} ({spec.steps} steps of {spec.batch_size})",
            fix="build the order for this run's tokens",
        )
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    model = build_model(spec.model, spec.seed)
    save_spec(output, spec.model)
    with (output / METRICS).open("w", encoding="utf-8") as stream:
        first_loss = _fit(fabric, model, spec, dataset, order, output, stream)
        domains = validate(model, validation, spec.validation_tokens_per_domain, output)
        _log(stream, spec.tokens, {f"validation/loss/{d}": v["loss"] for d, v in domains.items()})
    validated = sum(int(value["samples"]) for value in domains.values()) * length
    return {
        "parameters": count_parameters(model),
        "tokens": spec.tokens,
        "training_flops": spec.tokens * training_flops_per_token(spec.model),
        "validation_flops": validated * forward_flops_per_token(spec.model),
        "first_loss": first_loss,
        "validation": domains,
    }


def _fit(
    fabric: Fabric,
    model: Decoder,
    spec: TrainingSpec,
    dataset: TokenDataset,
    order: Order,
    output: Path,
    stream: TextIO,
) -> float:
    """All steps of the run; returns the first batch's loss."""
    wrapped, optimizer = fabric.setup(model, build_optimizer(model, spec.optimizer))
    checkpoints = {round(f * spec.steps): intermediate_name(f) for f in spec.checkpoint_fractions}
    checkpoints[spec.steps] = intermediate_name(1.0)
    log_every = max(1, spec.steps // LOGGED_POINTS)
    first_loss, started = 0.0, time.monotonic()
    wrapped.train()
    for step, windows_BT1 in enumerate(_batches(fabric, dataset, order, spec)):
        rate = learning_rate_at(step, spec.steps, spec.optimizer)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = wrapped(windows_BT1)
        fabric.backward(loss)
        norm = nn.utils.clip_grad_norm_(model.parameters(), spec.optimizer.gradient_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        _check_finite(value, step, order, spec)
        first_loss = value if step == 0 else first_loss
        done = step + 1
        if done % log_every == 0 or done == spec.steps:
            tokens = done * spec.batch_size * spec.model.sequence_length
            speed = tokens / (time.monotonic() - started)
            values = {"train/loss": value, "train/gradient_norm": float(norm)}
            values |= {"train/learning_rate": rate, "train/tokens_per_second": speed}
            _log(stream, tokens, values)
        if done in checkpoints:
            save_weights(output, model, checkpoints[done])
    return first_loss


def build_optimizer(model: nn.Module, spec: OptimizerSpec) -> torch.optim.AdamW:
    """AdamW, fused; weight decay on the matrices of Linear layers alone."""
    matrices = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) in matrices], "weight_decay": spec.weight_decay},
        {"params": [p for p in parameters if id(p) not in matrices], "weight_decay": 0.0},
    ]
    betas = (spec.beta1, spec.beta2)
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=betas, fused=True)


def _batches(
    fabric: Fabric, dataset: TokenDataset, order: Order, spec: TrainingSpec
) -> Iterator[torch.Tensor]:
    for step in range(spec.steps):
        windows = dataset.read(batch_at(order, step, spec.batch_size))
        yield fabric.to_device(torch.from_numpy(windows))


def _check_finite(loss: float, step: int, order: Order, spec: TrainingSpec) -> None:
    if loss - loss != 0.0:
        samples = batch_at(order, step, spec.batch_size).tolist()
        raise JobError(
            f"the loss is {loss} at step {step} of {spec.steps} "
            f"(learning rate {spec.optimizer.learning_rate:g}, samples {samples})"
        )


def _log(stream: TextIO, tokens: int, values: dict[str, float]) -> None:
    """Append one line; whoever forwards it to a tracking server reads it from there."""
    entry = {"tokens": tokens, "time_ms": time.time_ns() // 1_000_000, "values": values}
    stream.write(json.dumps(entry) + "\n")
    stream.flush()
