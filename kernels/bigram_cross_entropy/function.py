"""Cross entropy of token sequences under a bigram model: how surprising each word is after the one
before it, to a model that knows no more.

    cross_entropy = -1/(T - 1) sum_(t >= 1) ln p(token_t | token_(t-1))

In nats per predicted token, as a language model's loss on the same window: the first token is
context alone. `model` has the formula of p.

Shape suffixes: B sequences, T tokens of each, V words, U different pairs that the model knows.
"""

import torch
from torch import Tensor

from curricle.kernels.availability import has_triton
from curricle.kernels.bigram_cross_entropy import reference
from curricle.kernels.bigram_cross_entropy.model import BigramModel
from curricle.kernels.token_checks import check_tokens


def bigram_cross_entropy(tokens_BT: Tensor, model: BigramModel) -> Tensor:
    """Mean negative log probability, in nats, of each row's tokens after its first.

    Args:
        tokens_BT: integers in [0, V), any strides, T at least 2.
        model: on the device of the tokens.

    Returns:
        cross_entropy_B in fp64 on the device of the tokens. Counts are exact and logarithms fp64 on
        CPU and GPU alike: the error is that of summing T numbers, below 1e-12.

    Raises:
        ValueError: for a shape, dtype or device other than the above, or a token out of range. On
            GPU looking for such a token waits for the device.
    """
    check_tokens(tokens_BT, model.vocabulary_size, least=2)
    if tokens_BT.device != model.pairs.device:
        devices = f"{tokens_BT.device}, {model.pairs.device}"
        raise ValueError(f"found tokens and model on {devices}, expected one device")
    if tokens_BT.is_cuda and has_triton():
        from curricle.kernels.bigram_cross_entropy import triton_kernels

        with torch.cuda.device(tokens_BT.device):  # Triton launches on the current one
            return triton_kernels.cross_entropy(tokens_BT, model)
    return reference.cross_entropy(tokens_BT, model)
