"""Scores that need no trained model: statistics of a sample's tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from curricle.core.jobs import SampleStatisticsSpec
from curricle.core.scores_file import write_scores
from curricle.core.token_dataset import TokenDataset
from curricle.kernels.sequence_entropy import sequence_entropy
from curricle.models.placement import Placement

ROWS_AT_ONCE = 4096


def sample_statistics(
    spec: SampleStatisticsSpec, inputs: dict[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Write the `unigram_entropy` (nats) of each sample's tokens of `inputs["dataset"]`."""
    dataset = TokenDataset(inputs["dataset"], spec.sequence_length)
    samples = np.arange(len(dataset), dtype=np.int64)
    parts = []
    for start in range(0, len(samples), ROWS_AT_ONCE):
        tokens_BT = torch.from_numpy(dataset.read(samples[start : start + ROWS_AT_ONCE])[:, :-1])
        tokens_BT = tokens_BT.to(placement.device)
        parts.append(sequence_entropy(tokens_BT, spec.vocabulary_size).double().cpu().numpy())
    domains = [dataset.domains[index] for index in dataset.domain_of_samples()]
    entropy = np.concatenate(parts) if parts else np.empty(0)
    write_scores(output, domains, {"unigram_entropy": entropy})
    return {"samples": len(samples), "flops": 0}
