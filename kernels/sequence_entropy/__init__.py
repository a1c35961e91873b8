"""Unigram entropy of token sequences."""

from curricle.kernels.sequence_entropy.function import sequence_entropy

__all__ = ["sequence_entropy"]
