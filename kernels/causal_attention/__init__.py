"""Causal self-attention."""

from curricle.kernels.causal_attention.function import causal_attention

__all__ = ["causal_attention"]
