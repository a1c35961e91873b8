"""A decoder-only transformer: one module, the families as settings of it.

Shape suffixes: B batch, T positions, C width, H heads, D width of a head, V vocabulary, N = B * T.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec
from curricle.core.seeds import derive_seed
from curricle.kernels.linear_cross_entropy import linear_cross_entropy

FAMILIES = ("gpt2",)
INITIAL_STD = 0.02


class Attention(nn.Module):
    """Causal self-attention with one projection for queries, keys and values."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.num_heads = spec.num_heads
        self.qkv = nn.Linear(spec.width, 3 * spec.width)
        self.projection = nn.Linear(spec.width, spec.width)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix positions; (B, T, C) to (B, T, C)."""
        B, T, C = x_BTC.shape
        qkv_3BHTD = self.qkv(x_BTC).view(B, T, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv_3BHTD.unbind(0)
        mixed_BHTD = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: Tensor = self.projection(mixed_BHTD.transpose(1, 2).reshape(B, T, C))
        return out


class FeedForward(nn.Module):
    """Two linear layers, four times the width between them, GELU in its tanh form as in GPT-2."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.expand = nn.Linear(spec.width, 4 * spec.width)
        self.projection = nn.Linear(4 * spec.width, spec.width)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Transform each position; (B, T, C) to (B, T, C)."""
        out: Tensor = self.projection(F.gelu(self.expand(x_BTC), approximate="tanh"))
        return out


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each on the residual stream."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(spec.width)
        self.attention = Attention(spec)
        self.feed_forward_norm = nn.LayerNorm(spec.width)
        self.feed_forward = FeedForward(spec)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """One layer; (B, T, C) to (B, T, C)."""
        x_BTC = x_BTC + self.attention(self.attention_norm(x_BTC))
        out: Tensor = x_BTC + self.feed_forward(self.feed_forward_norm(x_BTC))
        return out


class Decoder(nn.Module):
    """GPT-2: learned positions, LayerNorm, input and output embeddings tied."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        if spec.family not in FAMILIES:
            raise InputError(
                f"family {spec.family!r}", expected=f"one of {FAMILIES}", fix="choose one"
            )
        self.spec = spec
        self.tokens = nn.Embedding(spec.vocabulary_size, spec.width)
        self.positions = nn.Embedding(spec.sequence_length, spec.width)
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.num_layers))
        self.final_norm = nn.LayerNorm(spec.width)

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """Final hidden states (B, T, C) of token ids (B, T), T at most the model's length."""
        positions_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        x_BTC = self.tokens(tokens_BT) + self.positions(positions_T)
        for block in self.blocks:
            x_BTC = block(x_BTC)
        out: Tensor = self.final_norm(x_BTC)
        return out

    def forward(self, windows_BT1: Tensor) -> Tensor:
        """Mean next-token loss, in nats, over windows of T + 1 token ids; differentiable once."""
        hidden_NC = self.hidden(windows_BT1[:, :-1]).flatten(0, 1)
        return linear_cross_entropy(hidden_NC, self.tokens.weight, windows_BT1[:, 1:].flatten())

    def token_losses(self, windows_BT1: Tensor) -> Tensor:
        """Next-token losses (B, T), in nats, of windows of T + 1 token ids."""
        targets_BT = windows_BT1[:, 1:]
        hidden_NC = self.hidden(windows_BT1[:, :-1]).flatten(0, 1)
        loss_N = linear_cross_entropy(
            hidden_NC, self.tokens.weight, targets_BT.flatten(), reduction="none"
        )
        return loss_N.view(targets_BT.shape)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., C)."""
        return F.linear(hidden, self.tokens.weight)


def build_model(spec: ModelSpec, seed: int) -> Decoder:
    """A freshly initialised model: the same weights for the same seed, on every device.

    GPT-2's initialisation: normal of 0.02, the projections onto the residual stream divided by
    sqrt(2 * layers), biases zero, norms one.
    """
    model = Decoder(spec)
    generator = torch.Generator().manual_seed(derive_seed(seed, "initialisation"))
    residual_std = INITIAL_STD / math.sqrt(2 * spec.num_layers)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                std = residual_std if name.endswith("projection.weight") else INITIAL_STD
                parameter.normal_(0.0, std, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
    return model


def count_parameters(model: nn.Module) -> int:
    """Number of distinct trainable parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())
