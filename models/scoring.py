"""Learnability of every sample under one proxy's checkpoints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec, ScoringSpec
from curricle.core.plain import from_plain
from curricle.core.scores_file import write_scores
from curricle.core.token_dataset import TokenDataset
from curricle.kernels.onednn import exact_onednn
from curricle.models.checkpoint import SPEC, checkpoint_name, load_model
from curricle.models.flops import forward_flops_per_token
from curricle.models.placement import Placement
from curricle.models.validation import sample_losses


@torch.no_grad()
@exact_onednn()
def score(
    spec: ScoringSpec, inputs: dict[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Score all samples of `inputs["dataset"]` with the proxy in `inputs["checkpoint"]`.

    Learnability is the early checkpoint's loss minus the mean loss of the late ones, per sample, in
    nats per token (Fan & Jaggi, arXiv 2310.15389). Writes the columns `early_loss`, `late_loss` and
    `learnability`. Raises InputError unless the early one lies before the late ones.
    """
    if not spec.late or spec.early >= min(spec.late):
        raise InputError(
            f"early {spec.early} tokens, late {list(spec.late)}",
            expected="an early checkpoint before one or more late ones",
            fix="correct scoring.early and scoring.late",
        )
    proxy = inputs["checkpoint"]
    shape = from_plain(ModelSpec, json.loads((proxy / SPEC).read_text(encoding="utf-8")))
    dataset = TokenDataset(inputs["dataset"], shape.sequence_length)
    samples = np.arange(len(dataset), dtype=np.int64)
    device = placement.device
    losses = [
        sample_losses(load_model(proxy, checkpoint_name(at)).to(device), dataset, samples)
        for at in (spec.early, *spec.late)
    ]
    early, late = losses[0], np.mean(losses[1:], axis=0)
    domains = [dataset.domains[index] for index in dataset.domain_of_samples()]
    columns = {"early_loss": early, "late_loss": late, "learnability": early - late}
    write_scores(output, domains, columns)
    tokens = len(samples) * shape.sequence_length * len(losses)
    return {"samples": len(samples), "flops": tokens * forward_flops_per_token(shape)}
