"""Cross entropy of a language model's head, without storing the logits."""

from curricle.kernels.linear_cross_entropy.by_sequence import sequence_cross_entropy
from curricle.kernels.linear_cross_entropy.function import linear_cross_entropy

__all__ = ["linear_cross_entropy", "sequence_cross_entropy"]
