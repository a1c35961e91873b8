"""Causal self-attention: torch's, or a faster form of our own for small models on CPUs.

    mixed_t = sum_(s <= t) P_ts value_s,   P_t = softmax_(s <= t)(query_t . key_s / sqrt(D))

Shape suffixes: B batch, H heads, G heads of keys and values, T positions, D width of a head.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from curricle.kernels.causal_attention.blocked import BlockedAttention

_blocked: Any = BlockedAttention
_settings: Any = torch.backends.cuda
# What one call may keep for its backward pass: 64 MiB of probabilities.
_MAX_ELEMENTS = 2**24


def causal_attention(
    query_BHTD: Tensor, key_BGTD: Tensor, value_BGTD: Tensor, *, dropout: float = 0.0
) -> Tensor:
    """Attention of each position to itself and those before it.

    Args:
        query_BHTD: queries, floating point, any strides.
        key_BGTD: keys; with G below H each serves H / G heads that follow one another.
        value_BGTD: values, shape of the keys.
        dropout: share of the probabilities that are dropped.

    Returns:
        mixed_BHTD, in the dtype of the queries. Small fp32 problems without dropout on a CPU take
        `blocked` where a gradient may be wanted; all others
        `torch.nn.functional.scaled_dot_product_attention`. The two agree to fp32's rounding. Which
        one it is depends on shapes and settings alone.

    Like torch's fast forms it can be differentiated once. Where more is needed, call it under
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, which it obeys.

    Raises:
        RuntimeError: for shapes other than the above, and in backward with `create_graph=True`.
    """
    if dropout == 0.0 and _takes_blocks(query_BHTD, key_BGTD, value_BGTD):
        return cast("Tensor", _blocked.apply(query_BHTD, key_BGTD, value_BGTD))
    return F.scaled_dot_product_attention(
        query_BHTD,
        key_BGTD,
        value_BGTD,
        dropout_p=dropout,
        is_causal=True,
        enable_gqa=key_BGTD.shape[1] != query_BHTD.shape[1],
    )


def _takes_blocks(query_BHTD: Tensor, key_BGTD: Tensor, value_BGTD: Tensor) -> bool:
    tensors = (query_BHTD, key_BGTD, value_BGTD)
    batch, heads, length, _ = query_BHTD.shape
    kept = batch * heads * length**2 // 2
    return (
        not torch.compiler.is_compiling()
        # The forward pass alone takes 1.2 to 2.6 times torch's time on one thread (128 to 2,048
        # positions, AMD EPYC, torch 2.13), more on several, that wait for one another.
        and torch.is_grad_enabled()
        and all(each.device.type == "cpu" and each.dtype == torch.float32 for each in tensors)
        and all(each.shape == query_BHTD.shape for each in tensors)
        and kept <= _MAX_ELEMENTS
        and _settings.flash_sdp_enabled()  # of CPUs too: `sdpa_kernel` unsets it
    )
