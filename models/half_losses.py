"""Losses of the two halves of samples: scores are made of them, and judged by how they agree."""

import numpy as np
import numpy.typing as npt
import torch

from curricle.core.token_dataset import TokenDataset
from curricle.models.decoder import Decoder
from curricle.models.interruption import note_progress
from curricle.models.validation import EVALUATION_BATCH

Floats = npt.NDArray[np.float64]


@torch.no_grad()
def half_losses(model: Decoder, dataset: TokenDataset, samples: npt.NDArray[np.int64]) -> Floats:
    """Mean loss of the predictions in each sample's first and second half, nats; (2, samples).

    The halves are contiguous, the second read after the first; of an odd number of tokens the
    second has one more.
    """
    device = next(model.parameters()).device
    found = np.empty((2, len(samples)))
    for start in range(0, len(samples), EVALUATION_BATCH):
        note_progress()
        part = slice(start, start + EVALUATION_BATCH)
        loss_BT = model.token_losses(torch.from_numpy(dataset.read(samples[part])).to(device))
        middle = loss_BT.shape[1] // 2
        halves = (loss_BT[:, :middle].mean(1), loss_BT[:, middle:].mean(1))
        found[:, part] = torch.stack(halves).double().cpu().numpy()
    return found
