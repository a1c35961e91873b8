"""Floating-point operations of a model, counted from its matrix products.

A multiply-add is two operations. Norms, activations, softmax and the optimizer are left out: below
one per cent from width 64 on. Attention is counted in full, without halving it for causality, as
published counts do.
"""

from curricle.core.jobs import ModelSpec


def forward_flops_per_token(spec: ModelSpec) -> int:
    """Operations of a forward pass, head included, per token at full sequence length."""
    layer_weights = 12 * spec.width**2
    head_weights = spec.vocabulary_size * spec.width
    attention = 2 * spec.sequence_length * spec.width
    return 2 * (spec.num_layers * (layer_weights + attention) + head_weights)


def training_flops_per_token(spec: ModelSpec) -> int:
    """Operations of forward and backward: three times the forward pass."""
    return 3 * forward_flops_per_token(spec)
