"""The job that judges a recipe without a network: n-gram models of what a run would read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from curricle.core.jobs import NgramSpec
from curricle.core.order_file import read_order
from curricle.core.token_dataset import TokenDataset
from curricle.kernels.bigram_cross_entropy import bigram_cross_entropy, fit_bigram_model
from curricle.models.placement import Placement
from curricle.models.validation import select_samples


def measure_ngrams(
    spec: NgramSpec, inputs: Mapping[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Cross entropy of each held-out domain, in nats per token, under two models.

    `unigram` and `bigram` (`kernels.bigram_cross_entropy.fit_bigram_model`) are fitted to the
    samples of `inputs["dataset"]` that `inputs["order"]` names: they have seen what a proxy has.
    """
    del output
    dataset = TokenDataset(inputs["dataset"], spec.sequence_length)
    read = dataset.read(read_order(inputs["order"], len(dataset)))
    tokens_BT = torch.from_numpy(read).to(placement.device)
    model = fit_bigram_model(tokens_BT, spec.vocabulary_size)
    unigram_V = (model.priors / model.priors.sum()).log()
    validation = TokenDataset(inputs["validation"], spec.sequence_length)
    samples = select_samples(validation, spec.validation_tokens_per_domain)
    domain_of = validation.domain_of_samples()[samples]
    found: dict[str, dict[str, float]] = {"unigram": {}, "bigram": {}}
    for index, name in enumerate(validation.domains):
        windows_BT = torch.from_numpy(validation.read(samples[domain_of == index]))
        windows_BT = windows_BT.to(placement.device)
        found["unigram"][name] = -float(unigram_V[windows_BT[:, 1:].long()].mean())
        found["bigram"][name] = float(bigram_cross_entropy(windows_BT, model).mean())
    return {**found, "flops": 0}
