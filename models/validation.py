"""Held-out loss per domain: the number that ranks recipes and curricula."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from curricle.core.errors import InputError
from curricle.core.token_dataset import TokenDataset
from curricle.models.decoder import Decoder
from curricle.models.devices import reduce_over_ranks, reshard
from curricle.models.interruption import note_progress

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


def _losses_of_rank(
    model: Decoder, dataset: TokenDataset, samples: npt.NDArray[np.int64], rank: int, ranks: int
) -> Tensor:
    """Losses of this rank's share of the batches, on its device; zeros for the other samples."""
    device = next(model.parameters()).device
    losses = torch.zeros(len(samples), dtype=torch.float64, device=device)
    starts = range(0, len(samples), EVALUATION_BATCH)
    for first in range(0, len(starts), ranks):
        # A sharded model needs all ranks in every forward pass, also where batches run out.
        start = starts[min(first + rank, len(starts) - 1)]
        note_progress()
        rows = slice(start, start + EVALUATION_BATCH)
        windows = torch.from_numpy(dataset.read(samples[rows])).to(device)
        found = model.token_losses(windows).mean(1)
        if first + rank < len(starts):
            losses[rows] = found.double()
    return losses


@contextlib.contextmanager
def evaluating(model: nn.Module, *, compiled: bool) -> Iterator[None]:
    """Switch a model that is being trained to evaluation, in fp32, without its compiled parts."""
    eager = torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()
    model.eval()
    try:
        with torch.no_grad(), eager:
            yield
    finally:
        reshard(model)
        model.train()


def validate(
    model: Decoder, dataset: TokenDataset, tokens_per_domain: int, fabric: Fabric, folder: Path
) -> dict[str, dict[str, float]]:
    """Loss of each domain, in nats per token; a row per sample goes to `validation.parquet`.

    The ranks share the batches out. A batch is the same, and so are its losses and their sums, on
    any number of devices.
    """
    samples = select_samples(dataset, tokens_per_domain)
    share = _losses_of_rank(model, dataset, samples, fabric.global_rank, fabric.world_size)
    losses = reduce_over_ranks(fabric, share, "sum").cpu().numpy()
    domains = dataset.domain_of_samples()[samples]
    if fabric.is_global_zero:
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
