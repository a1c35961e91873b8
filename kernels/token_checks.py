"""The checks of token ids that several operations share."""

import torch
from torch import Tensor


def check_tokens(tokens_BT: Tensor, vocabulary_size: int, least: int = 1) -> None:
    """Raise ValueError unless `tokens_BT` are (B, T) integers in range with T at least `least`.

    On GPU looking for a token out of range waits for the device.
    """
    if tokens_BT.dim() != 2 or tokens_BT.shape[1] < least:
        shape = tuple(tokens_BT.shape)
        raise ValueError(f"found tokens of shape {shape}, expected (B, T) with T at least {least}")
    dtype = tokens_BT.dtype
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        raise ValueError(f"found tokens of {dtype}, expected integers")
    if len(tokens_BT) == 0:
        return
    low, high = (int(end) for end in tokens_BT.aminmax())
    if low < 0 or high >= vocabulary_size:
        wrong = low if low < 0 else high
        raise ValueError(f"found token {wrong}, expected 0 to {vocabulary_size - 1}")
