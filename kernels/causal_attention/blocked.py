"""Causal attention on CPUs, in blocks of queries, by large matrix products.

For queries [i, j) only keys [0, j) are multiplied, so that little more than the lower triangle is
computed. Probabilities are kept for the backward pass, in which

    grad_value = P.T @ G,   grad_score = P * (G @ value.T - rowsum(P * (G @ value.T))),
    grad_query = scale * grad_score @ key,   grad_key = scale * grad_score.T @ query

torch's own kernel for CPUs recomputes them, in products too small to be fast.

Shape suffixes: B batch, H heads, T positions, D width of a head, N = B * H, M queries of a block,
K keys up to its end.
"""

from typing import Any

import torch
from torch import Tensor

from curricle.kernels.onednn import exact_onednn

# Queries of a block. Milliseconds of forward + backward, one thread of an AMD EPYC (Zen 5), torch
# 2.13, tuned malloc; torch's kernel with its products in MKL, in oneDNN, and these blocks:
#   B, H, T, D            MKL   oneDNN     32     64    128    256
#   16, 4,  256, 32      24.8     37.9   17.1   16.4   17.5   20.5
#   16, 2,  256, 32      12.2     18.8    9.5    7.7    7.3    8.8
#   16, 6,  256, 64      66.3     83.8   49.5   41.8   41.6   44.8
#   16, 8,  512, 32     192.8    210.0  135.8  115.0  107.4  114.8
#    4, 4, 1024, 64     123.4     73.8   89.5   67.2   62.2   63.7
BLOCK = 128


class BlockedAttention(torch.autograd.Function):
    """(B, H, T, D) three times, to (B, H, T, D) of which heads and positions are swapped back."""

    @staticmethod
    def forward(ctx: Any, query_BHTD: Tensor, key_BHTD: Tensor, value_BHTD: Tensor) -> Tensor:
        """Mix the values; keeps the probabilities only where a gradient is wanted."""
        B, H, T, D = query_BHTD.shape
        query_NTD = (query_BHTD * D**-0.5).reshape(B * H, T, D)
        key_NTD, value_NTD = (each.reshape(B * H, T, D) for each in (key_BHTD, value_BHTD))
        mixed_BTHD = query_BHTD.new_empty(B, T, H, D)
        wanted = any(ctx.needs_input_grad)
        kept = []
        with exact_onednn():
            for block in _blocks(T):
                probability_NMK = _probabilities(query_NTD[:, block], key_NTD, block)
                mixed_NMD = torch.bmm(probability_NMK, value_NTD[:, : block.stop])
                mixed_BHMD = mixed_NMD.view(B, H, *mixed_NMD.shape[1:])
                mixed_BTHD[:, block] = mixed_BHMD.transpose(1, 2)
                if wanted:
                    kept.append(probability_NMK)
        if wanted:
            ctx.save_for_backward(query_NTD, key_NTD, value_NTD, *kept)
        return mixed_BTHD.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, grad_BHTD: Tensor) -> tuple[Tensor, ...]:
        """Gradients of query, key and value."""
        _refuse_create_graph()
        query_NTD, key_NTD, value_NTD, *kept = ctx.saved_tensors
        grad_NTD = grad_BHTD.reshape(query_NTD.shape)
        T, D = query_NTD.shape[1:]
        grad_query_NTD = torch.empty_like(query_NTD)
        grad_key_NTD, grad_value_NTD = torch.zeros_like(key_NTD), torch.zeros_like(value_NTD)
        with exact_onednn():
            for block, probability_NMK in zip(_blocks(T), kept, strict=True):
                seen, grad_NMD = slice(block.stop), grad_NTD[:, block]
                grad_value_NTD[:, seen] += torch.bmm(probability_NMK.mT, grad_NMD)
                grad_NMK = torch.bmm(grad_NMD, value_NTD[:, seen].mT)
                grad_NMK = torch._softmax_backward_data(
                    grad_NMK, probability_NMK, -1, grad_NMK.dtype
                )
                grad_query_NTD[:, block] = torch.bmm(grad_NMK, key_NTD[:, seen])
                grad_key_NTD[:, seen] += torch.bmm(grad_NMK.mT, query_NTD[:, block])
        grad_query_NTD *= D**-0.5
        gradients = grad_query_NTD, grad_key_NTD, grad_value_NTD
        return tuple(each.view(grad_BHTD.shape) for each in gradients)


def _blocks(length: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def _probabilities(query_NMD: Tensor, key_NTD: Tensor, block: slice) -> Tensor:
    score_NMK = torch.bmm(query_NMD, key_NTD[:, : block.stop].mT)
    size = block.stop - block.start
    later = query_NMD.new_full((size, size), -torch.inf).triu_(1)
    score_NMK[:, :, block] += later
    return torch.softmax(score_NMK, dim=-1, out=score_NMK)


def _refuse_create_graph() -> None:
    if torch.is_grad_enabled():
        raise RuntimeError(
            "causal_attention has no second derivative: found backward with create_graph=True, "
            "expected create_graph=False; for Hessian products run it under "
            "torch.nn.attention.sdpa_kernel(SDPBackend.MATH)"
        )
