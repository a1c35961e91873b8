"""Weights rounded to a few bits, as models are shipped, to see what a run's gain is worth there.

    scale_r = max_c |w_rc| / (2^(bits - 1) - 1),   w_rc -> scale_r * round(w_rc / scale_r)

Symmetric, one scale a row, round to nearest: the plainest scheme, without calibration. Matrices
alone are rounded; norms and biases keep their bits, as is usual.
"""

import torch
from torch import Tensor, nn


@torch.no_grad()
def round_weights(model: nn.Module, bits: int) -> None:
    """Round every matrix among the parameters of `model` in place; tied ones once."""
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.copy_(rounded(parameter, bits))


def rounded(weight_RC: Tensor, bits: int) -> Tensor:
    """`weight_RC` with each row on a grid of 2^bits - 1 values around 0."""
    scale_R1 = weight_RC.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    scale_R1 = scale_R1.clamp_min(torch.finfo(weight_RC.dtype).tiny)
    rounded_RC: Tensor = (weight_RC / scale_R1).round() * scale_R1
    return rounded_RC
