"""The CPU path of `minhash`, and what the Triton kernel is tested against.

Permuted hashes are made for a stretch of hashes at a time, whatever documents they belong to, and
folded into the documents' minima by numpy: torch has no minimum over segments of integers.

Shape suffixes: S hashes of all documents, M hashes of a stretch, D documents, P permutations.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Keeps the products in the caches. A million hashes, 200 a document, 112 permutations: 0.14 s in
# stretches of 2**9, 0.18 of 2**7, 0.34 of 2**14 (one thread of an AMD EPYC, Zen 5; numpy 2).
_HASHES_AT_ONCE = 2**9


def signatures(
    hashes_S: Tensor, offsets: Tensor, multiplier_P: Tensor, increment_P: Tensor
) -> Tensor:
    """Return signature_DP in uint32; all arguments int64 on the CPU, with the bits of uint64."""
    hashes = _unsigned(hashes_S)
    multiplier, increment = _unsigned(multiplier_P), _unsigned(increment_P)
    bounds = offsets.numpy()
    signature = np.full((len(bounds) - 1, len(multiplier)), 2**32 - 1, dtype=np.uint32)
    (filled,) = np.nonzero(np.diff(bounds))
    starts = bounds[filled]
    for first in range(0, len(hashes), _HASHES_AT_ONCE):
        stretch = hashes[first : first + _HASHES_AT_ONCE, None]
        permuted = ((stretch * multiplier + increment) >> np.uint64(32)).astype(np.uint32)
        # From the document that the stretch begins in to the last that begins within it.
        begin = np.searchsorted(starts, first, side="right") - 1
        end = np.searchsorted(starts, first + len(stretch))
        cuts = np.maximum(starts[begin:end] - first, 0)
        minima = np.minimum.reduceat(permuted, cuts, axis=0)
        signature[filled[begin:end]] = np.minimum(signature[filled[begin:end]], minima)
    return torch.from_numpy(signature)


def _unsigned(bits: Tensor) -> npt.NDArray[np.uint64]:
    return bits.contiguous().numpy().view(np.uint64)
