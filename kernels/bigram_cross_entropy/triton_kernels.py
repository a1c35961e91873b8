"""The GPU path of `bigram_cross_entropy`: one program a sequence.

Each pair of neighbours is looked up among the model's by binary search, of which the first steps
are the same few cache lines for all. No atomics: the result is the same every time.

Shape suffixes: B sequences, T tokens of each, U different pairs of the model.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from curricle.kernels.bigram_cross_entropy.model import BigramModel

BLOCK = 256
NUM_WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]  # triton has no types
def _cross_entropy_kernel(
    tokens_ptr: tl.tensor,
    pair_ptr: tl.tensor,
    count_ptr: tl.tensor,
    prior_ptr: tl.tensor,
    total_ptr: tl.tensor,
    out_ptr: tl.tensor,
    length: tl.tensor,
    vocabulary: tl.tensor,
    num_pairs: tl.tensor,
    steps: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Mean over one row of -ln p(token | token before)."""
    row = tokens_ptr + tl.program_id(0).to(tl.int64) * length
    total = tl.zeros((BLOCK,), tl.float64)
    for first in range(1, length, BLOCK):
        positions = first + tl.arange(0, BLOCK)
        mask = positions < length
        before = tl.load(row + positions - 1, mask=mask, other=0).to(tl.int64)
        after = tl.load(row + positions, mask=mask, other=0).to(tl.int64)
        pair = before * vocabulary + after
        # The pair's place, if it is known, lies in [low, low + size); each step halves that.
        low = tl.zeros((BLOCK,), tl.int64)
        size = low + num_pairs
        for _ in range(steps):
            half = size // 2
            found = tl.load(pair_ptr + low + half)
            low = tl.where(found <= pair, low + half, low)
            size = size - half
        count = tl.load(count_ptr + low)
        count = tl.where(tl.load(pair_ptr + low) == pair, count, 0).to(tl.float64)
        prior, context = tl.load(prior_ptr + after), tl.load(total_ptr + before)
        total += tl.where(mask, tl.log((count + prior) / context), 0.0)
    tl.store(out_ptr + tl.program_id(0), -tl.sum(total, axis=0) / (length - 1))


def cross_entropy(tokens_BT: Tensor, model: BigramModel) -> Tensor:
    """Return cross_entropy_B in fp64 for tokens on the current GPU, T at least 2."""
    tokens_BT = tokens_BT.int().contiguous()
    num_rows, length = tokens_BT.shape
    cross_entropy_B = tokens_BT.new_empty(num_rows, dtype=torch.float64)
    if num_rows == 0:
        return cross_entropy_B
    num_pairs = len(model.pairs)
    _cross_entropy_kernel[(num_rows,)](
        tokens_BT,
        *model,
        cross_entropy_B,
        length,
        model.vocabulary_size,
        num_pairs,
        (num_pairs - 1).bit_length(),
        BLOCK=BLOCK,
        num_warps=NUM_WARPS,
    )
    return cross_entropy_B
