"""The CPU path of `linear_cross_entropy`, and what the Triton kernels are tested against.

Plain torch, in chunks of tokens. A chunk's logits become probabilities and then the gradient of the
logits in place, so that they are computed once.

Shape suffixes: N tokens, K those not ignored, M tokens of a chunk, C width, V words.
"""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from curricle.kernels.onednn import exact_onednn

# Rows of a chunk. Few rows starve the matrix products, many leave the caches. Milliseconds of
# forward + backward, AMD EPYC (Zen 5, 2 cores, 32 MiB of L3), torch 2.13, tuned malloc, caches
# cold, with one thread / two threads:
#   rows                          64         128          256          512         1024
#   N 1024, C  64, V  4096   11.0 / 6.7   9.3 / 5.3    9.3 / 5.2    9.2 / 5.2   10.0 / 5.4
#   N 1024, C 128, V  4096   18.6 / 10.3 17.7 / 9.5   17.0 / 8.9   17.5 / 9.0   18.3 / 9.7
#   N 4096, C 128, V 50257   1205 / 660  1048 / 559    954 / 482    934 / 469    924 / 485
# Forward alone has its optimum at the same place. From 256 on nothing is won for the memory.
_MAX_ROWS = 256
# Bounds a chunk's logits where the vocabulary is large: 64 MiB in fp32 with gradients. Forward
# alone, where they are most of what is kept, 32 MiB: 166 rows at 50,257 words.
_MAX_ELEMENTS = 2**24
_MAX_ELEMENTS_FORWARD = 2**23


def token_losses(
    hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor, ignore_index: int
) -> Tensor:
    """Return loss_N, as `losses_and_gradients` does, and no gradient."""
    nothing = (False, False)
    return losses_and_gradients(hidden_NC, weight_VC, target_N, ignore_index, None, nothing)[0]


def losses_and_gradients(
    hidden_NC: Tensor,
    weight_VC: Tensor,
    target_N: Tensor,
    ignore_index: int,
    grad_loss_N: Tensor | None,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return loss_N and the wanted ones of grad_hidden_NC and grad_weight_VC.

    Args:
        hidden_NC: hidden states, any floating point dtype.
        weight_VC: weight of the head, same dtype.
        target_N: int64, in [0, V) or `ignore_index`.
        ignore_index: these tokens have loss 0 and no gradient.
        grad_loss_N: weight of each token's gradient; None means 1.
        wanted: whether the gradients of hidden and of weight are to be computed.

    The losses and the weight's gradient, a sum over chunks, come in fp32, for fp64 inputs in fp64;
    the gradient of hidden comes in the dtype of the products: `_product_dtype`. On one machine the
    same inputs and number of threads give the same bits.

    Raises:
        ValueError: if a target is out of range.
    """
    kept_K = (target_N != ignore_index).nonzero().squeeze(1)
    target_K1 = target_N[kept_K].unsqueeze(1)
    _check_range(target_K1, weight_VC.shape[0])
    exact = torch.promote_types(hidden_NC.dtype, torch.float32)
    dtype = _product_dtype(hidden_NC, any(wanted))
    weight_VC = weight_VC.to(dtype).contiguous()
    hidden_KC = hidden_NC[kept_K].to(dtype)
    # A token's weight multiplies its row of C numbers; multiplying its V logits would cost V / C
    # times as much.
    scale_K1 = hidden_KC.new_ones(len(kept_K), 1)
    if grad_loss_N is not None:
        scale_K1.copy_(grad_loss_N[kept_K].unsqueeze(1))
    scaled_KC = hidden_KC * scale_K1

    loss_K = hidden_KC.new_empty(len(kept_K), dtype=exact)
    grad_hidden_KC = torch.empty_like(hidden_KC) if wanted[0] else None
    grad_weight_VC = torch.zeros_like(weight_VC, dtype=exact) if wanted[1] else None
    most = _MAX_ELEMENTS if any(wanted) else _MAX_ELEMENTS_FORWARD
    rows_at_once = max(1, min(_MAX_ROWS, most // weight_VC.shape[0]))
    chunks = row_slices(len(kept_K), rows_at_once)
    buffer_MV = loss_K.new_empty(chunks[0].stop if chunks else 0, weight_VC.shape[0])
    with exact_onednn():
        for rows in chunks:
            exact_MV = buffer_MV[: rows.stop - rows.start]
            loss_K[rows] = _to_gradient(hidden_KC[rows], weight_VC, target_K1[rows], exact_MV)
            gradient_MV = exact_MV.to(dtype)
            if grad_hidden_KC is not None:
                torch.mm(gradient_MV, weight_VC, out=grad_hidden_KC[rows])
            if grad_weight_VC is not None:
                _add_product_(grad_weight_VC, gradient_MV.t(), scaled_KC[rows])
    loss_N = _spread(loss_K, kept_K, target_N)
    if grad_hidden_KC is None:
        return loss_N, None, grad_weight_VC
    return loss_N, _spread(grad_hidden_KC.mul_(scale_K1), kept_K, target_N), grad_weight_VC


def _product_dtype(hidden_NC: Tensor, gradient_wanted: bool) -> torch.dtype:
    """Bf16 for bf16 inputs that want gradients, where the CPU multiplies bf16; else fp32 or fp64.

    Logits are rounded to bf16 then, as torch's and those of the GPU path are. Forward + backward
    under bf16 autocast, machine as above, one thread, N 1024, V 4096, C 64 / 128: products in fp32
    10.2 / 18.1 ms, in bf16 8.4 / 12.5 ms, torch's plain form 11.0 / 14.4 ms.
    """
    native = hidden_NC.device.type == "cpu" and multiplies_bf16()
    if hidden_NC.dtype == torch.bfloat16 and gradient_wanted and native:
        return torch.bfloat16
    return torch.promote_types(hidden_NC.dtype, torch.float32)


@functools.cache
def multiplies_bf16() -> bool:
    """Return whether the CPU has instructions for bf16 products; AMX comes with AVX-512's."""
    return torch.cpu._is_avx512_bf16_supported()  # nothing public before torch 2.13


def row_slices(num_rows: int, limit: int) -> list[slice]:
    """Cut `num_rows` into as few slices of at most `limit` rows as possible, of equal size."""
    size = math.ceil(num_rows / max(1, math.ceil(num_rows / limit)))
    return [slice(start, min(start + size, num_rows)) for start in range(0, num_rows, max(1, size))]


def _to_gradient(
    hidden_MC: Tensor, weight_VC: Tensor, target_M1: Tensor, gradient_MV: Tensor
) -> Tensor:
    """Fill `gradient_MV` with the losses' gradient with respect to the logits; return loss_M."""
    if hidden_MC.dtype == gradient_MV.dtype:
        torch.mm(hidden_MC, weight_VC.t(), out=gradient_MV)
    else:
        gradient_MV.copy_(hidden_MC @ weight_VC.t())
    torch.softmax(gradient_MV, dim=1, out=gradient_MV)
    probability_M1 = gradient_MV.gather(1, target_M1)
    gradient_MV.scatter_add_(1, target_M1, -torch.ones_like(probability_M1))
    loss_M = -probability_M1.squeeze(1).log()
    # -log p is as exact as logsumexp - logit, and one pass over the logits cheaper, until p is
    # too small for the dtype: in fp32 from a loss of 87 on.
    lost_M = probability_M1.squeeze(1) < torch.finfo(probability_M1.dtype).tiny
    if lost_M.any():
        logits_LV = (hidden_MC[lost_M] @ weight_VC.t()).to(loss_M.dtype)
        target_L = target_M1[lost_M].squeeze(1)
        loss_M[lost_M] = F.cross_entropy(logits_LV, target_L, reduction="none")
    return loss_M


def _add_product_(sum_VC: Tensor, gradient_VM: Tensor, hidden_MC: Tensor) -> None:
    if hidden_MC.dtype == sum_VC.dtype:
        sum_VC.addmm_(gradient_VM, hidden_MC)
    else:
        sum_VC += gradient_VM @ hidden_MC


def _spread(values_K: Tensor, kept_K: Tensor, target_N: Tensor) -> Tensor:
    """Put the rows of `values_K` where they belong among all tokens, zeros elsewhere."""
    values_N = values_K.new_zeros((len(target_N), *values_K.shape[1:]))
    values_N[kept_K] = values_K
    return values_N


def _check_range(target_K1: Tensor, vocabulary: int) -> None:
    if target_K1.numel() == 0:
        return
    low, high = (int(end) for end in target_K1.aminmax())
    if low < 0 or high >= vocabulary:
        wrong = low if low < 0 else high
        raise ValueError(f"found target {wrong}, expected 0 to {vocabulary - 1} or ignore_index")
