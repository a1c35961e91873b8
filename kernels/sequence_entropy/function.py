"""Unigram entropy of token sequences: how varied the words of each are, whatever their order.

    p_v = count_v / T,   entropy = -sum_v p_v ln p_v
        = ln T - (1/T) sum_v count_v ln count_v          (counts from a sort)

In nats: 0 for a sequence of one word repeated, ln T for T different ones.

Shape suffixes: B sequences, T tokens of each.
"""

import torch
from torch import Tensor

from curricle.kernels.availability import has_triton
from curricle.kernels.sequence_entropy import reference
from curricle.kernels.token_checks import check_tokens


def sequence_entropy(tokens_BT: Tensor, vocabulary_size: int) -> Tensor:
    """Unigram entropy in nats of each row of `tokens_BT`.

    Args:
        tokens_BT: integers in [0, vocabulary_size), any strides, T at least 1.
        vocabulary_size: number of words that a token can be.

    Returns:
        entropy_B in fp64 on the device of the tokens. Counts are exact and logarithms fp64 on CPU
        and GPU alike: the error is that of summing T numbers, below 1e-12.

    Memory beyond tokens and result: on CPU about 11 MiB, however many sequences (more only where
    one of them is longer than 131,072 tokens); on GPU one number for each 64 tokens, and a copy of
    tokens that aren't int32.

    Raises:
        ValueError: for a shape or dtype other than the above, or a token out of range. On GPU
            looking for such a token waits for the device.
    """
    check_tokens(tokens_BT, vocabulary_size)
    if tokens_BT.is_cuda and has_triton():
        from curricle.kernels.sequence_entropy import triton_kernels

        with torch.cuda.device(tokens_BT.device):  # Triton launches on the current one
            return triton_kernels.entropy(tokens_BT)
    return reference.entropy(tokens_BT.cpu(), vocabulary_size).to(tokens_BT.device)
