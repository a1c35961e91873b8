"""Attention that computes no more than is asked: of the last positions alone, after a kept prefix.

Shape suffixes: B batch, H heads, T queries, S keys, of which the queries are the last, D width of a
head.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def attend_to_earlier(query_BHTD: Tensor, key_BHSD: Tensor, value_BHSD: Tensor) -> Tensor:
    """Attention (B, H, T, D) of the last T of S positions to themselves and those before them.

    Keys and values with fewer heads than the queries each serve a group of them.
    """
    T, S = query_BHTD.shape[2], key_BHSD.shape[2]
    is_grouped = key_BHSD.shape[1] != query_BHTD.shape[1]
    mask_TS = torch.ones(T, S, dtype=torch.bool, device=query_BHTD.device).tril(S - T)
    return F.scaled_dot_product_attention(
        query_BHTD,
        key_BHSD,
        value_BHSD,
        attn_mask=None if T == S else mask_TS,
        is_causal=T == S,
        enable_gqa=is_grouped,
    )


class LayerPrefix:
    """Keys and values of one layer of tokens that several inputs begin with; empty at first."""

    def __init__(self) -> None:
        self._kept: tuple[Tensor, Tensor] | None = None

    @property
    def length(self) -> int:
        """Tokens kept so far."""
        return 0 if self._kept is None else self._kept[0].shape[2]

    def extend(self, key_BHTD: Tensor, value_BHTD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the prefix and the positions after it.

        The first call, with B = 1, gives those of the prefix itself, which are kept.
        """
        if self._kept is None:
            self._kept = key_BHTD, value_BHTD
            return self._kept
        key_BHSD, value_BHSD = (
            torch.cat([kept.expand(len(new), -1, -1, -1), new], dim=2)
            for kept, new in zip(self._kept, (key_BHTD, value_BHTD), strict=True)
        )
        return key_BHSD, value_BHSD


class Prefix:
    """All layers' parts of one prefix."""

    def __init__(self, num_layers: int) -> None:
        self.layers = [LayerPrefix() for _ in range(num_layers)]

    @property
    def length(self) -> int:
        """Its tokens; 0 before they were read."""
        return self.layers[0].length
