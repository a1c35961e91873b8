"""The CPU path of `sequence_entropy`, and what the Triton kernel is tested against.

Rows are sorted, so that a word's occurrences are neighbours, and the runs counted. numpy sorts,
because its sort uses AVX-512: 1,024 x 1,024 tokens in 0.7 ms as uint16 or 1.1 ms as int32, where
torch takes 31 ms (one thread of an AMD EPYC, Zen 5; numpy 2, torch 2.13). A histogram over the
vocabulary (50,257 words) takes 14 ms.

Shape suffixes: B sequences, T tokens of each, U runs of equal tokens in all of them.
"""

import numpy as np
import torch
from torch import Tensor

# Bounds the work space, up to 86 bytes a token, and keeps it near the caches: 1,024 x 1,024 tokens
# take 5.8 ms in chunks of 2**14, 4.1 of 2**17 and 11.3 of 2**20 (same machine, default malloc).
_TOKENS_AT_ONCE = 2**17


def entropy(tokens_BT: Tensor, vocabulary_size: int) -> Tensor:
    """Return entropy_B in fp64 for tokens on the CPU, integers in [0, vocabulary_size)."""
    entropy_B = torch.empty(len(tokens_BT), dtype=torch.float64)
    rows = max(1, _TOKENS_AT_ONCE // tokens_BT.shape[1])
    for start in range(0, len(tokens_BT), rows):
        chunk_BT = tokens_BT[start : start + rows]
        entropy_B[start : start + rows] = _entropy(chunk_BT, vocabulary_size)
    return entropy_B


def _entropy(tokens_BT: Tensor, vocabulary_size: int) -> Tensor:
    num_rows, length = tokens_BT.shape
    # Words of different rows get different keys: runs end where rows do.
    first_key_B = torch.arange(num_rows) * vocabulary_size
    keys_BT = _sorted_rows(tokens_BT, vocabulary_size).add_(first_key_B.unsqueeze(1))
    key_U, count_U = torch.unique_consecutive(keys_BT.flatten(), return_counts=True)
    counts = torch.arange(length + 1, dtype=torch.float64)
    weighted_U = torch.xlogy(counts, counts)[count_U]
    first_run_B = torch.searchsorted(key_U, first_key_B)
    sum_B = torch.from_numpy(np.add.reduceat(weighted_U.numpy(), first_run_B.numpy()))
    return counts[-1].log() - sum_B / length


def _sorted_rows(tokens_BT: Tensor, vocabulary_size: int) -> Tensor:
    """Int64 tokens, each row in ascending order."""
    dtype = np.uint16 if vocabulary_size <= 2**16 else np.int64
    return torch.from_numpy(np.sort(tokens_BT.numpy().astype(dtype), axis=1).astype(np.int64))
