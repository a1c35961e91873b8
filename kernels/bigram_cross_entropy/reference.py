"""The plain-torch path of `bigram_cross_entropy`, and what the Triton kernel is tested against.

Shape suffixes: B sequences, T tokens of each, N pairs of a chunk, U different pairs of the model.
"""

import torch
from torch import Tensor

from curricle.kernels.bigram_cross_entropy.model import BigramModel

# Bounds the work space, about 60 bytes a token.
_TOKENS_AT_ONCE = 2**17


def cross_entropy(tokens_BT: Tensor, model: BigramModel) -> Tensor:
    """Return cross_entropy_B in fp64 for integers in [0, V), T at least 2."""
    rows = max(1, _TOKENS_AT_ONCE // tokens_BT.shape[1])
    cross_entropy_B = model.priors.new_empty(len(tokens_BT))
    for start in range(0, len(tokens_BT), rows):
        chunk_BT = tokens_BT[start : start + rows].long()
        cross_entropy_B[start : start + rows] = _cross_entropy(chunk_BT, model)
    return cross_entropy_B


def _cross_entropy(tokens_BT: Tensor, model: BigramModel) -> Tensor:
    before_BT, after_BT = tokens_BT[:, :-1], tokens_BT[:, 1:]
    count_BT = _counts((before_BT * model.vocabulary_size + after_BT).flatten(), model)
    probability_BT = count_BT.view(before_BT.shape) + model.priors[after_BT]
    probability_BT /= model.totals[before_BT]
    return -probability_BT.log_().mean(dim=1)


def _counts(pair_N: Tensor, model: BigramModel) -> Tensor:
    """How often each pair occurred; 0 for one that the model doesn't know."""
    place_N = torch.searchsorted(model.pairs, pair_N).clamp_(max=len(model.pairs) - 1)
    return model.counts[place_N].where(model.pairs[place_N] == pair_N, 0)
