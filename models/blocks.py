"""The layers of a decoder, with the families' differences as settings.

Shape suffixes: B batch, T positions, C width, H heads, D width of a head, R rotary part of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from curricle.core.families import family_of, widths_of
from curricle.core.jobs import ModelSpec
from curricle.kernels.causal_attention import causal_attention
from curricle.models.prefix import LayerPrefix, attend_to_earlier

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}

Rotation = tuple[Tensor, Tensor]


def make_norm(spec: ModelSpec) -> nn.Module:
    """The family's norm over the model's width."""
    kind = nn.RMSNorm if family_of(spec).rms_norm else nn.LayerNorm
    return kind(spec.width, eps=spec.norm_epsilon)


def rotation(positions_T: Tensor, rotary_width: int, base: float) -> Rotation:
    """Cosines and sines, each (T, R / 2) in fp32, of rotary positions (arXiv 2104.09864).

    Made anew in each forward pass: a few microseconds, and no table that must follow the weights
    from device to device.
    """
    exponents_R = torch.arange(0, rotary_width, 2, device=positions_T.device) / rotary_width
    angles_TR = positions_T[:, None] / base**exponents_R
    return angles_TR.cos(), angles_TR.sin()


def rotate(x_BHTD: Tensor, by: Rotation) -> Tensor:
    """Turn the first R entries of each head, entry i together with i + R / 2; leave the others."""
    cosine_TR, sine_TR = by
    rotary_width = 2 * cosine_TR.shape[-1]
    first, second = x_BHTD[..., :rotary_width].chunk(2, dim=-1)
    turned = (first * cosine_TR - second * sine_TR, second * cosine_TR + first * sine_TR)
    rest = x_BHTD[..., rotary_width:]
    return torch.cat([*(part.type_as(rest) for part in turned), rest], dim=-1)


class Attention(nn.Module):
    """Causal self-attention with one projection for queries, keys and values.

    With fewer key and value heads than query heads, each serves a group of them (arXiv 2305.13245).
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        widths, biases = widths_of(spec), family_of(spec).biases
        self.head_width, self.dropout = widths.head, spec.dropout
        self.widths = (spec.width, widths.key_value, widths.key_value)
        self.qkv = nn.Linear(spec.width, sum(self.widths), bias=biases)
        self.projection = nn.Linear(spec.width, spec.width, bias=biases)

    def forward(
        self,
        x_BTC: Tensor,
        by: Rotation | None,
        prefix: LayerPrefix | None = None,
        last: int | None = None,
    ) -> Tensor:
        """Mix positions; (B, T, C) to (B, T, C), or to (B, last, C) of the last ones alone.

        Those of `prefix` come before them.
        """
        query, key, value = (
            part.unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for part in self.qkv(x_BTC).split(self.widths, dim=-1)
        )
        if by is not None:
            query, key = rotate(query, by), rotate(key, by)
        if prefix is not None or last is not None:
            key, value = prefix.extend(key, value) if prefix else (key, value)
            asked = query if last is None else query[:, :, -last:]
            mixed_BHTD = attend_to_earlier(asked, key, value)
        else:
            dropout = self.dropout if self.training else 0.0
            mixed_BHTD = causal_attention(query, key, value, dropout=dropout)
        out: Tensor = self.projection(mixed_BHTD.transpose(1, 2).flatten(-2))
        return out


class FeedForward(nn.Module):
    """Two linear layers around an activation; gated ones as in SwiGLU (arXiv 2002.05202)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        family, width = family_of(spec), widths_of(spec).feed_forward
        self.is_gated, self.activation = family.gated, ACTIVATIONS[family.activation]
        expanded = 2 * width if family.gated else width
        self.expand = nn.Linear(spec.width, expanded, bias=family.biases)
        self.projection = nn.Linear(width, spec.width, bias=family.biases)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Transform each position; (B, T, C) to (B, T, C)."""
        expanded = self.expand(x_BTC)
        if self.is_gated:
            gate, up = expanded.chunk(2, dim=-1)
            inner = self.activation(gate) * up
        else:
            inner = self.activation(expanded)
        out: Tensor = self.projection(inner)
        return out


class Block(nn.Module):
    """Attention and feed-forward on the residual stream: in turn, or side by side (pythia).

    The norms lie before the two, or after the sums (OPT-350M).
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        family = family_of(spec)
        self.is_parallel, self.is_post_norm = family.parallel_residual, spec.post_norm
        self.dropout = spec.dropout if family.residual_dropout else 0.0
        self.attention_norm = make_norm(spec)
        self.attention = Attention(spec)
        self.feed_forward_norm = make_norm(spec)
        self.feed_forward = FeedForward(spec)

    def forward(
        self,
        x_BTC: Tensor,
        by: Rotation | None,
        prefix: LayerPrefix | None = None,
        last: int | None = None,
    ) -> Tensor:
        """One layer; (B, T, C) to (B, T, C), or to (B, last, C) of the last positions alone."""
        kept_BTC = x_BTC if last is None else x_BTC[:, -last:]
        if self.is_post_norm:
            mixed_BTC = self._drop(self.attention(x_BTC, by, prefix, last))
            kept_BTC = self.attention_norm(kept_BTC + mixed_BTC)
            out: Tensor = self.feed_forward_norm(kept_BTC + self._drop(self.feed_forward(kept_BTC)))
            return out
        mixed_BTC = self._drop(self.attention(self.attention_norm(x_BTC), by, prefix, last))
        mixed_BTC = kept_BTC + mixed_BTC
        read_BTC = kept_BTC if self.is_parallel else mixed_BTC
        return mixed_BTC + self._drop(self.feed_forward(self.feed_forward_norm(read_BTC)))

    def _drop(self, x_BTC: Tensor) -> Tensor:
        return F.dropout(x_BTC, self.dropout, self.training)
