"""Sharpness of the loss around a model's weights, on a fixed held-out batch.

The largest Hessian eigenvalue depends on the learning rate that led here and changes when a layer
is rescaled against the next: compare arms at equal rates, and look at adaptive SAM beside it, which
rescaling leaves alone.
"""

import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import SharpnessSpec
from curricle.core.plain import to_plain
from curricle.core.seeds import derive_seed, generator
from curricle.core.token_dataset import TokenDataset
from curricle.models.checkpoint import checkpoint_name, load_model
from curricle.models.flops import most_products, most_sharpness_flops, sharpness_flops
from curricle.models.hessian import BatchLoss, dense_parameters
from curricle.models.hessian_memory import check_memory, is_out_of_memory, too_large
from curricle.models.lanczos import (
    Look,
    Product,
    Spectrum,
    Tensors,
    extreme_eigenvalues,
    hutchinson_trace,
)
from curricle.models.language_model import LanguageModel
from curricle.models.loading import load_language_model
from curricle.models.perturbation import (
    Line,
    adaptive_sam_sharpness,
    critical_sharpness,
    sam_sharpness,
)
from curricle.models.placement import Placement
from curricle.models.stages import Stages
from curricle.models.unfinished import Unfinished, identity_of

RESULT = "sharpness.json"


def sharpness(
    spec: SharpnessSpec,
    inputs: dict[str, Path],
    output: Path,
    placement: Placement,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure `inputs["checkpoint"]` on samples of `inputs["validation"]`; see `measure_sharpness`.

    Its final weights, or those it kept after `spec.checkpoint_at` tokens of training. The samples
    depend on the spec's seed alone, so that all arms share them. What is unfinished is kept between
    products with the Hessian; `progress` is told how many of the most there can be are done.
    """
    folder = inputs["checkpoint"]
    at = spec.checkpoint_at
    model = load_language_model(folder) if at is None else load_model(folder, checkpoint_name(at))
    model = model.to(placement.device)
    dataset = TokenDataset(inputs["validation"], spec.sequence_length or model.sequence_length)
    model.check_vocabulary(int(dataset.manifest["vocabulary_size"]), "held-out data")
    windows_BT1 = held_out_batch(dataset, spec.batch_size, spec.seed)
    folders = {role: inputs[role] for role in ("checkpoint", "validation")}
    unfinished = Unfinished(placement, identity_of(folders, spec=to_plain(spec)), output)
    most = 1 + most_products(spec)
    stages = Stages(unfinished, progress and (lambda done: progress(done, most)))
    result = measure_sharpness(model, windows_BT1, spec, stages)
    (output / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def estimate(spec: SharpnessSpec, model: LanguageModel) -> dict[str, int]:
    """What a measurement takes if there are samples enough, and Lanczos needs all its iterations:
    samples, tokens, products with the Hessian, and about how many operations (`flops`).
    """
    length = spec.sequence_length or model.sequence_length
    return {
        "samples": spec.batch_size,
        "tokens": spec.batch_size * length,
        "products_at_most": most_products(spec),
        "flops": most_sharpness_flops(spec, model.forward_flops_per_token, length),
    }


def held_out_batch(dataset: TokenDataset, batch_size: int, seed: int) -> Tensor:
    """`batch_size` samples of `dataset`, the same ones for the same seed; (B, T + 1) token ids.

    Raises InputError if there is none.
    """
    if not len(dataset):
        raise InputError(
            "held-out data without a sample",
            expected=f"at least {dataset.sequence_length + 1} tokens of one domain",
            fix="give it more text, or shorten the sequences",
        )
    picks = generator(seed, "sharpness", "batch")
    samples = picks.choice(len(dataset), min(batch_size, len(dataset)), replace=False)
    return torch.from_numpy(dataset.read(np.sort(samples)))


def measure_sharpness(
    model: LanguageModel,
    windows_BT1: Tensor,
    settings: SharpnessSpec,
    stages: Stages | None = None,
) -> dict[str, Any]:
    """Every measure of sharpness of `model` on the token windows `windows_BT1`, as JSON values.

    - `loss`, `gradient_norm`: where the model stands.
    - `largest_eigenvalue`, `smallest_eigenvalue` of the Hessian over all parameters, each with
      `<end>_residual` (its relative distance to an eigenvalue) and `<end>_converged`; `iterations`,
      their products. The same with `dense_` before it over the layers' weight matrices alone.
    - `trace`, `trace_error`: Hutchinson's estimate and its standard error.
    - `sam`, `adaptive_sam`: rise of the loss in one step of that radius.
    - `critical`: 2 / eta_c along the gradient, where any step raises the loss.
    - `products`: all Hessian-vector products; `flops`: what everything cost.

    What is no finite number is None. The weights are as before afterwards. Parts that `stages` know
    are not made again. Raises InputError if the batch doesn't fit into memory, JobError if loss,
    gradient or a product are not numbers.
    """
    samples, length = len(windows_BT1), windows_BT1.shape[1] - 1
    check_memory(model, samples, length, settings)
    try:
        return _measure(model, windows_BT1, settings, stages or Stages())
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise too_large(samples, length, settings) from None


def _measure(
    model: LanguageModel, windows_BT1: Tensor, settings: SharpnessSpec, stages: Stages
) -> dict[str, Any]:
    loss = BatchLoss(model, windows_BT1, settings.micro_batch_size)
    everything = list(model.parameters())
    found: dict[str, Any] = {"samples": len(windows_BT1), "tokens": loss.tokens}
    found |= stages.part("around", lambda *_: _around(loss, everything, settings))
    groups = {"": everything}
    if settings.dense_layers:
        groups["dense_"] = dense_parameters(model)
    for prefix, parameters in groups.items():
        curvature = _Curvature(loss, parameters, settings)
        spectrum = stages.part(prefix + "spectrum", curvature.spectrum)
        found |= {prefix + name: value for name, value in spectrum.items()}
        if not prefix and settings.trace_samples:
            found |= stages.part("trace", curvature.trace)
    counts = ("iterations", "dense_iterations", "trace_samples")
    found["products"] = sum(found.get(name, 0) for name in counts)
    found["flops"] = sharpness_flops(
        loss.tokens * model.forward_flops_per_token,
        products=found["products"],
        looks=found.pop("looks"),
        rebuilt=len(loss.parts) > 1,
    )
    return {key: value if math.isfinite(value or 0) else None for key, value in found.items()}


def _around(
    loss: BatchLoss, parameters: Sequence[nn.Parameter], settings: SharpnessSpec
) -> dict[str, Any]:
    """What needs the gradient and forward passes alone."""
    line = Line(loss.value, parameters)
    gradient_P = loss.gradient(parameters)
    norm = float(gradient_P.norm())
    if not np.isfinite([line.start, norm]).all():
        raise JobError(
            f"the held-out batch's loss is {line.start}, its gradient's norm {norm}: "
            "the model's weights or its precision don't serve"
        )
    sam = sam_sharpness(line, gradient_P, settings.sam_radius)
    adaptive = adaptive_sam_sharpness(line, gradient_P, settings.asam_radius)
    first_step = settings.sam_radius / norm if norm else 1.0
    critical = critical_sharpness(line, gradient_P, first_step)
    return {
        "loss": line.start,
        "gradient_norm": norm,
        "sam": sam,
        "adaptive_sam": adaptive,
        "critical": critical.sharpness,
        "looks": line.looks,
    }


class _Curvature:
    """The Hessian over `parameters`, whose graph is built when the first product is asked for."""

    def __init__(
        self, loss: BatchLoss, parameters: Sequence[nn.Parameter], settings: SharpnessSpec
    ) -> None:
        self._loss, self._parameters, self._settings = loss, parameters, settings

    @functools.cached_property
    def _product(self) -> Product:
        return self._loss.hessian_product(self._parameters)

    def spectrum(self, kept: Tensors, look: Look) -> dict[str, Any]:
        """Both ends of the spectrum, and how far Lanczos got."""
        settings = self._settings
        size = sum(parameter.numel() for parameter in self._parameters)
        draw = torch.Generator().manual_seed(derive_seed(settings.seed, "sharpness", "start"))
        spectrum = extreme_eigenvalues(
            self._product,
            torch.randn(size, generator=draw).to(self._parameters[0]),
            settings.max_iterations,
            settings.tolerance,
            kept=kept,
            look=look,
        )
        return _describe(spectrum)

    def trace(self, kept: Tensors, look: Look) -> dict[str, Any]:
        """Hutchinson's estimate."""
        like_P = torch.cat([parameter.detach().reshape(-1) for parameter in self._parameters])
        seed = derive_seed(self._settings.seed, "sharpness", "trace")
        samples = self._settings.trace_samples
        trace = hutchinson_trace(self._product, like_P, samples, seed, kept=kept, look=look)
        return {"trace": trace.value, "trace_error": trace.error, "trace_samples": trace.samples}


def _describe(spectrum: Spectrum) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, end in (("largest", spectrum.largest), ("smallest", spectrum.smallest)):
        found[f"{name}_eigenvalue"] = end.eigenvalue
        found[f"{name}_residual"] = end.residual
        found[f"{name}_converged"] = end.converged
    return {**found, "iterations": spectrum.iterations}
