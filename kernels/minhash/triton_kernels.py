"""The GPU path of `minhash`: one program for each document and block of permutations.

Each thread keeps minima of its own over the hashes that it sees; they meet once, at the end.

Shape suffixes: S hashes of all documents, D documents, P permutations.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# 8 products of 64 bits a thread.
BLOCK_S = 32
BLOCK_P = 32
NUM_WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]  # triton has no types
def _signatures_kernel(
    hashes_ptr: tl.tensor,
    offsets_ptr: tl.tensor,
    multiplier_ptr: tl.tensor,
    increment_ptr: tl.tensor,
    signature_ptr: tl.tensor,
    num_permutations: tl.tensor,
    BLOCK_S: tl.constexpr,
    BLOCK_P: tl.constexpr,
) -> None:
    """BLOCK_P entries of one document's signature."""
    document = tl.program_id(0).to(tl.int64)
    permutations = tl.program_id(1) * BLOCK_P + tl.arange(0, BLOCK_P)
    mask = permutations < num_permutations
    multiplier = tl.load(multiplier_ptr + permutations, mask=mask, other=1)[None, :]
    increment = tl.load(increment_ptr + permutations, mask=mask, other=0)[None, :]
    stop = tl.load(offsets_ptr + document + 1)
    minima = tl.full((BLOCK_S, BLOCK_P), 0xFFFFFFFF, tl.uint32)
    for first in range(tl.load(offsets_ptr + document), stop, BLOCK_S):
        positions = first + tl.arange(0, BLOCK_S)
        hashes = tl.load(hashes_ptr + positions, mask=positions < stop, other=0)[:, None]
        permuted = (hashes * multiplier + increment).to(tl.uint64, bitcast=True) >> 32
        # A position past the end repeats none of the document's hashes: it must not win.
        kept = tl.where((positions < stop)[:, None], permuted, 0xFFFFFFFF).to(tl.uint32)
        minima = tl.minimum(minima, kept)
    out = signature_ptr + document * num_permutations + permutations
    tl.store(out, tl.min(minima, axis=0), mask=mask)


def signatures(
    hashes_S: Tensor, offsets: Tensor, multiplier_P: Tensor, increment_P: Tensor
) -> Tensor:
    """Return signature_DP in uint32 for hashes and offsets on the current GPU; all int64."""
    num_documents, num_permutations = len(offsets) - 1, len(multiplier_P)
    device = hashes_S.device
    signature_DP = torch.empty(num_documents, num_permutations, dtype=torch.uint32, device=device)
    if num_documents == 0:
        return signature_DP
    _signatures_kernel[(num_documents, triton.cdiv(num_permutations, BLOCK_P))](
        hashes_S.contiguous(),
        offsets.contiguous(),
        multiplier_P.to(device).contiguous(),
        increment_P.to(device).contiguous(),
        signature_DP,
        num_permutations,
        BLOCK_S=BLOCK_S,
        BLOCK_P=BLOCK_P,
        num_warps=NUM_WARPS,
    )
    return signature_DP
