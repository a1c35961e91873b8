"""Cross entropy of a language model's head, without storing the logits."""

from curricle.kernels.linear_cross_entropy.function import linear_cross_entropy

__all__ = ["linear_cross_entropy"]
