"""The GPU path of `sequence_entropy`.

For each token of a row, count how often it occurs in the row, by comparing it with all of them:

    entropy = ln T - (1/T) sum_t ln count_t,   count_t = #{s : token_s = token_t}

T^2 comparisons need neither a sort nor a histogram of the vocabulary, and no atomics, so that the
result is the same every time.

Shape suffixes: B sequences, T tokens of each, K blocks of tokens.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# 32 counters a thread; blocks of 128 spill registers.
BLOCK = 64
NUM_WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]  # triton has no types
def _log_counts_kernel(
    tokens_ptr: tl.tensor, sum_ptr: tl.tensor, length: tl.tensor, BLOCK: tl.constexpr
) -> None:
    """Sum of ln count_t over one block of a row's tokens."""
    row = tokens_ptr + tl.program_id(0).to(tl.int64) * length
    positions = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    tokens = tl.load(row + positions, mask=positions < length, other=-1)
    # Counted apart for each column of a block: the loop needs no sum across threads.
    counts = tl.zeros((BLOCK, BLOCK), tl.int32)
    for first in range(0, length, BLOCK):
        others_positions = first + tl.arange(0, BLOCK)
        others = tl.load(row + others_positions, mask=others_positions < length, other=-2)
        counts += (tokens[:, None] == others[None, :]).to(tl.int32)
    # Positions past the end (-1) equal nothing, not even each other (-2): 0 becomes 1, of which
    # the logarithm is 0.
    log_count = tl.log(tl.maximum(tl.sum(counts, axis=1), 1).to(tl.float64))
    out = sum_ptr + tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    tl.store(out, tl.sum(log_count, axis=0))


def entropy(tokens_BT: Tensor) -> Tensor:
    """Return entropy_B in fp64 for tokens on the current GPU, integers of 0 and more."""
    tokens_BT = tokens_BT.int().contiguous()
    num_rows, length = tokens_BT.shape
    blocks = triton.cdiv(length, BLOCK)
    sum_BK = torch.empty(num_rows, blocks, dtype=torch.float64, device=tokens_BT.device)
    _log_counts_kernel[(num_rows, blocks)](
        tokens_BT, sum_BK, length, BLOCK=BLOCK, num_warps=NUM_WARPS
    )
    log_length = torch.tensor(length, dtype=torch.float64).log()
    return log_length - sum_BK.sum(dim=1) / length
