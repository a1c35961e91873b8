"""Held-out loss per domain: the number that ranks recipes and curricula."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from curricle.core.errors import InputError
from curricle.core.token_dataset import TokenDataset
from curricle.models.decoder import Decoder

ROWS = "validation.parquet"
EVALUATION_BATCH = 16


def select_samples(dataset: TokenDataset, tokens_per_domain: int) -> npt.NDArray[np.int64]:
    """The first samples of each domain, at most `tokens_per_domain` tokens, at least one sample.

    A dataset's documents lie in random order, so the first ones are a random choice, and the same
    one for every model. Raises InputError for a domain shorter than one sample.
    """
    limit = max(1, tokens_per_domain // dataset.sequence_length)
    domains = dataset.domain_of_samples()
    chosen = [np.flatnonzero(domains == index)[:limit] for index in range(len(dataset.domains))]
    for name, samples in zip(dataset.domains, chosen, strict=True):
        if not len(samples):
            tokens = dataset.manifest["domains"][name]["tokens"]
            raise InputError(
                f"held-out domain {name!r}: {tokens} tokens",
                expected=f"at least one window of {dataset.sequence_length} tokens and one more",
                fix="give it more text, or shorten tokenizer.sequence_length",
            )
    return np.concatenate(chosen)


def sample_losses(
    model: Decoder, dataset: TokenDataset, samples: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Mean next-token loss of each sample, in nats per token; shape (len(samples),)."""
    device = next(model.parameters()).device
    batches = [
        model.token_losses(torch.from_numpy(dataset.read(batch)).to(device)).mean(1)
        for batch in _batches(samples)
    ]
    return torch.cat(batches).double().cpu().numpy()


def _batches(samples: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(samples), EVALUATION_BATCH):
        yield samples[start : start + EVALUATION_BATCH]


@torch.no_grad()
def validate(
    model: Decoder, dataset: TokenDataset, tokens_per_domain: int, folder: Path
) -> dict[str, dict[str, float]]:
    """Loss of each domain, in nats per token; a row per sample goes to `validation.parquet`."""
    model.eval()
    samples = select_samples(dataset, tokens_per_domain)
    losses = sample_losses(model, dataset, samples)
    domains = dataset.domain_of_samples()[samples]
    _write_rows(folder, dataset, samples, losses)
    summary: dict[str, dict[str, float]] = {}
    for index, name in enumerate(dataset.domains):
        mine = losses[domains == index]
        summary[name] = {"loss": float(mine.mean()), "samples": len(mine)}
    return summary


def _write_rows(
    folder: Path,
    dataset: TokenDataset,
    samples: npt.NDArray[np.int64],
    losses: npt.NDArray[np.float64],
) -> None:
    names: list[Any] = [dataset.domains[i] for i in dataset.domain_of_samples()[samples]]
    table = pa.table({"sample": samples, "domain": pa.array(names, pa.string()), "loss": losses})
    pq.write_table(table, folder / ROWS, compression="zstd")
