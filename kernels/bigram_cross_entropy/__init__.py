"""Cross entropy of token sequences under a bigram model."""

from curricle.kernels.bigram_cross_entropy.function import bigram_cross_entropy
from curricle.kernels.bigram_cross_entropy.model import BigramModel, fit_bigram_model

__all__ = ["BigramModel", "bigram_cross_entropy", "fit_bigram_model"]
