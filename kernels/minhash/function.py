"""MinHash signatures: how like two sets are, told by how many entries of a short list agree.

    signature_dp = min over hashes h of document d of  ((a_p h + b_p) mod 2^64) >> 32

    P(signature_dp = signature_ep) = |d & e| / |d | e|, their Jaccard similarity, up to collisions

Each permutation p is a multiply-add-shift with an odd multiplier a_p (Dietzfelbinger 1996): one
64-bit product, where the Mersenne prime of other implementations takes a reduction, and the same
bits on every device. It keeps 32 bits and expects hashes that are well mixed. The signatures
resemble no other library's: rensa 0.5, say, sorts the hashes of long documents into bins first.

Shape suffixes: S hashes of all documents, D documents, P permutations.

Method: Broder 1997; permutations drawn once from Philox (Salmon et al. 2011), so that the first
ones are the same for every P.
"""

import numpy as np
import torch
from torch import Tensor

from curricle.kernels.availability import has_triton
from curricle.kernels.minhash import reference

_DTYPES = (torch.uint32, torch.uint64, torch.int64)


def minhash(hashes_S: Tensor, offsets: Tensor, num_permutations: int, seed: int) -> Tensor:
    """Signatures of documents that are given as sets of hashes.

    Args:
        hashes_S: hashes of all documents one after the other, any strides: uint32, uint64, or int64
            with the bits of uint64. Repeated ones count once.
        offsets: int64, shape (D + 1,): document d has hashes_S[offsets[d] : offsets[d + 1]].
        num_permutations: entries of a signature.
        seed: of the permutations, 0 or more. Only signatures of one seed can be compared.

    Returns:
        signature_DP, uint32, on the device of the hashes; 2^32 - 1 throughout for a document
        without hashes. The same bits on CPU and GPU.

    Raises:
        ValueError: for shapes, dtypes or devices other than the above, offsets that don't run from
            0 to S without falling, or no permutations. On GPU looking at the offsets waits for the
            device.
    """
    _check(hashes_S, offsets, num_permutations)
    bits_S = hashes_S.view(torch.int64) if hashes_S.dtype == torch.uint64 else hashes_S.long()
    drawn = np.random.Philox(seed).random_raw(2 * num_permutations).view(np.int64)
    multiplier_P = torch.from_numpy(drawn[0::2] | 1)
    increment_P = torch.from_numpy(drawn[1::2].copy())
    if hashes_S.is_cuda and has_triton():
        from curricle.kernels.minhash import triton_kernels

        with torch.cuda.device(hashes_S.device):  # Triton launches on the current one
            return triton_kernels.signatures(bits_S, offsets, multiplier_P, increment_P)
    found_DP = reference.signatures(bits_S.cpu(), offsets.cpu(), multiplier_P, increment_P)
    return found_DP.to(hashes_S.device)


def _check(hashes_S: Tensor, offsets: Tensor, num_permutations: int) -> None:
    shapes = [tuple(tensor.shape) for tensor in (hashes_S, offsets)]
    if [len(shape) for shape in shapes] != [1, 1] or not len(offsets):
        raise ValueError(f"found hashes and offsets of shapes {shapes}, expected (S,), (D + 1,)")
    if hashes_S.dtype not in _DTYPES or offsets.dtype != torch.int64:
        dtypes = f"{hashes_S.dtype}, {offsets.dtype}"
        raise ValueError(f"found hashes and offsets of {dtypes}, expected uint32 or uint64, int64")
    if hashes_S.device != offsets.device:
        devices = f"{hashes_S.device}, {offsets.device}"
        raise ValueError(f"found hashes and offsets on {devices}, expected one device")
    ends = (int(offsets[0]), int(offsets[-1]))
    if ends != (0, len(hashes_S)) or bool((offsets.diff() < 0).any()):
        raise ValueError(
            f"found offsets from {ends[0]} to {ends[1]} or falling ones, expected "
            f"rising ones from 0 to {len(hashes_S)}"
        )
    if num_permutations < 1:
        raise ValueError(f"found {num_permutations} permutations, expected 1 or more")
