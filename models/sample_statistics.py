"""Scores that need no trained model: statistics of a sample's tokens.

    unigram_entropy       how varied the sample's words are
    bigram_cross_entropy  nats per token under a bigram model fitted on the validation set
    moore_lewis           that minus the same under a bigram model of as much training text (Moore &
                          Lewis 2010): low for text that is like the validation set's

All in nats. The training text that the second model is fitted on is a random choice of samples, the
same for every job with the same seed; those samples look a little less like validation text.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from curricle.core.jobs import SampleStatisticsSpec
from curricle.core.scores_file import write_scores
from curricle.core.seeds import generator
from curricle.core.token_dataset import TokenDataset
from curricle.kernels.bigram_cross_entropy import (
    BigramModel,
    bigram_cross_entropy,
    fit_bigram_model,
)
from curricle.kernels.sequence_entropy import sequence_entropy
from curricle.models.interruption import note_progress
from curricle.models.placement import Placement

ROWS_AT_ONCE = 4096
BIGRAM, MOORE_LEWIS = "bigram_cross_entropy", "moore_lewis"

Floats = npt.NDArray[np.float64]
# From windows (B, T + 1) to a number each.
Statistic = Callable[[Tensor], Tensor]


def sample_statistics(
    spec: SampleStatisticsSpec, inputs: Mapping[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Write the scores `spec.names` of each sample of `inputs["dataset"]`, whole and by halves.

    What needs a bigram model reads `inputs["validation"]`, too.
    """
    dataset = TokenDataset(inputs["dataset"], spec.sequence_length)
    statistics = _statistics(spec, dataset, inputs, placement.device)
    found = _measure(dataset, list(statistics.values()), placement.device)
    domains = [dataset.domains[index] for index in dataset.domain_of_samples()]
    whole = {name: found[index, 0] for index, name in enumerate(statistics)}
    halves = {name: found[index, 1:] for index, name in enumerate(statistics)}
    write_scores(output, domains, whole, halves)
    return {"samples": len(dataset), "flops": 0}


def _measure(dataset: TokenDataset, statistics: list[Statistic], device: torch.device) -> Floats:
    """Each statistic of each sample, its first and its second half: (statistics, 3, samples)."""
    found = np.empty((len(statistics), 3, len(dataset)))
    middle = dataset.sequence_length // 2
    for start in range(0, len(dataset), ROWS_AT_ONCE):
        note_progress()
        stop = min(start + ROWS_AT_ONCE, len(dataset))
        windows_BT1 = _windows(dataset, np.arange(start, stop, dtype=np.int64)).to(device)
        # The token between the halves is the first one's last target and the second one's context.
        parts = (windows_BT1, windows_BT1[:, : middle + 1], windows_BT1[:, middle:])
        for row, statistic in enumerate(statistics):
            for column, part in enumerate(parts):
                found[row, column, start:stop] = statistic(part).double().cpu().numpy()
    return found


def _statistics(
    spec: SampleStatisticsSpec,
    dataset: TokenDataset,
    inputs: Mapping[str, Path],
    device: torch.device,
) -> dict[str, Statistic]:
    known: dict[str, Statistic] = {
        "unigram_entropy": lambda windows: sequence_entropy(windows[:, :-1], spec.vocabulary_size)
    }
    if {BIGRAM, MOORE_LEWIS} & set(spec.names):
        validation = TokenDataset(inputs["validation"], spec.sequence_length)
        wanted = _fit(validation, np.arange(len(validation)), spec.vocabulary_size).to(device)
        known[BIGRAM] = lambda windows: bigram_cross_entropy(windows, wanted)
        if MOORE_LEWIS in spec.names:
            chosen = _like_training(dataset, len(validation), spec.seed)
            usual = _fit(dataset, chosen, spec.vocabulary_size).to(device)
            known[MOORE_LEWIS] = lambda windows: (
                bigram_cross_entropy(windows, wanted) - bigram_cross_entropy(windows, usual)
            )
    return {name: known[name] for name in spec.names}


def _like_training(dataset: TokenDataset, count: int, seed: int) -> npt.NDArray[np.int64]:
    """As many random samples as the validation set has, at most all."""
    draw = generator(seed, "moore-lewis")
    chosen = draw.choice(len(dataset), min(count, len(dataset)), replace=False)
    return np.sort(chosen)


def _fit(dataset: TokenDataset, samples: npt.NDArray[np.int64], vocabulary: int) -> BigramModel:
    return fit_bigram_model(_windows(dataset, samples), vocabulary)


def _windows(dataset: TokenDataset, samples: npt.NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(dataset.read(samples))
