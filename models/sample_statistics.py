"""Scores that need no trained model: statistics of a sample's tokens.

    unigram_entropy       how varied the sample's words are
    bigram_cross_entropy  nats per token under a bigram model fitted on the validation set
    moore_lewis           that minus the same under a bigram model of as much training text (Moore &
                          Lewis 2010): low for text that is like the validation set's

All in nats. What the second model is fitted on is cross-fitted: the samples fall into two folds by
chance, the same for every job with the same seed, and those of each fold are scored under a model
of random samples of the other. A model that had read a sample would find it usual, and both of its
halves alike, which looks like a difference between samples, and like a reliable one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from curricle.core.errors import InputError
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
Integers = npt.NDArray[np.int64]
# From the ids of samples (B,) and windows of them (B, T + 1) to a number each, (B,).
Statistic = Callable[[Integers, Tensor], Tensor]


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
        samples_B = np.arange(start, stop, dtype=np.int64)
        windows_BT1 = _windows(dataset, samples_B).to(device)
        # The token between the halves is the first one's last target and the second one's context.
        parts = (windows_BT1, windows_BT1[:, : middle + 1], windows_BT1[:, middle:])
        for row, statistic in enumerate(statistics):
            for column, part in enumerate(parts):
                values_B = statistic(samples_B, part)
                found[row, column, start:stop] = values_B.double().cpu().numpy()
    return found


def _statistics(
    spec: SampleStatisticsSpec,
    dataset: TokenDataset,
    inputs: Mapping[str, Path],
    device: torch.device,
) -> dict[str, Statistic]:
    known: dict[str, Statistic] = {
        "unigram_entropy": lambda _, windows: sequence_entropy(
            windows[:, :-1], spec.vocabulary_size
        )
    }
    if {BIGRAM, MOORE_LEWIS} & set(spec.names):
        validation = TokenDataset(inputs["validation"], spec.sequence_length)
        wanted = _fit(validation, np.arange(len(validation)), spec.vocabulary_size).to(device)
        known[BIGRAM] = lambda _, windows: bigram_cross_entropy(windows, wanted)
        if MOORE_LEWIS in spec.names:
            usual = _cross_fitted(spec, dataset, len(validation), device)
            known[MOORE_LEWIS] = lambda samples, windows: (
                bigram_cross_entropy(windows, wanted) - usual(samples, windows)
            )
    return {name: known[name] for name in spec.names}


def _cross_fitted(
    spec: SampleStatisticsSpec, dataset: TokenDataset, count: int, device: torch.device
) -> Statistic:
    """The cross entropy of each sample under a model of `count` samples of the other fold.

    Of all of them if the fold has fewer. Raises InputError where a fold would be empty.
    """
    if len(dataset) < 2:
        raise InputError(
            f"moore-lewis of a dataset of {len(dataset)} samples",
            expected="2 samples, one to score and one to compare it with",
            fix="give the recipe more text, or leave moore-lewis out",
        )
    folds = np.array_split(generator(spec.seed, "moore-lewis").permutation(len(dataset)), 2)
    is_second = np.zeros(len(dataset), dtype=bool)
    is_second[folds[1]] = True
    # The folds are in random order: the first samples of one are a random choice of it.
    models = [
        _fit(dataset, np.sort(fold[:count]), spec.vocabulary_size).to(device) for fold in folds
    ]

    def cross_entropy(samples_B: Integers, windows_BT1: Tensor) -> Tensor:
        second_B = torch.from_numpy(is_second[samples_B]).to(device)
        found_B = torch.empty(len(samples_B), dtype=torch.float64, device=device)
        for mine_B, model in ((second_B, models[0]), (~second_B, models[1])):
            found_B[mine_B] = bigram_cross_entropy(windows_BT1[mine_B], model)
        return found_B

    return cross_entropy


def _fit(dataset: TokenDataset, samples: Integers, vocabulary: int) -> BigramModel:
    return fit_bigram_model(_windows(dataset, samples), vocabulary)


def _windows(dataset: TokenDataset, samples: Integers) -> Tensor:
    return torch.from_numpy(dataset.read(samples))
