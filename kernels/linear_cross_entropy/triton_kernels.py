"""The GPU path of `linear_cross_entropy`: two Triton kernels around cuBLAS's matrix products.

`_token_losses_kernel` (no gradient wanted) multiplies blocks of hidden states and weight and folds
each block of logits into a running maximum m and sum s of exponentials, so that no logit is stored:

    m' = max(m, max_v x_v),   s' = s exp(m - m') + sum_v exp(x_v - m'),   logsumexp = m + log s

`_to_gradient_kernel` (gradient wanted) turns a chunk of logits, made by cuBLAS, into the gradient
of the losses with respect to them, in place: (exp(x_v - logsumexp) - [v = target]) * weight.

Shape suffixes: N tokens, M tokens of a chunk, C width, V words, P of them with padding, S stretches
of the vocabulary.
"""

import contextlib
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from curricle.kernels.linear_cross_entropy.reference import row_slices

# Blocks of the fused product, by size of an element. With three stages of 128 bytes a row they take
# 96 KiB of shared memory or less, which every GPU since sm_80 has; compiled for sm_80 and sm_90
# nothing spills as long as the width is a multiple of 16. Fp32, multiplied as three TF32 products,
# needs more registers, hence the narrower block.
BLOCK_N = 128
BLOCK_V = {2: 128, 4: 64}
BLOCK_C = {2: 64, 4: 32}
NUM_WARPS = 8
NUM_STAGES = 3
# Programs a multiprocessor gets; more of them even out the last wave.
_PROGRAMS_EACH = 8
# Words that one program of the in-place kernel holds at once: 16 a thread.
MAX_BLOCK_WORDS = 8192
# A chunk's logits: 2,048 rows at 50,257 words, 206 MB in bf16. Shorter chunks read and write the
# fp32 gradient of the weight (154 MB at width 768) more often and leave too few tiles for cuBLAS.
_MAX_ELEMENTS = 2**27
# The vocabulary is filled up to a multiple of this: 50,257 isn't a multiple of anything.
_ALIGNMENT = 64


@triton.jit  # type: ignore[untyped-decorator]  # triton has no types
def _token_losses_kernel(
    hidden_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    target_ptr: tl.tensor,
    logsumexp_ptr: tl.tensor,
    target_logit_ptr: tl.tensor,
    num_rows: tl.tensor,
    width: tl.tensor,
    vocabulary: tl.tensor,
    stretch: tl.tensor,
    BLOCK_N: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_C: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Logsumexp_SN and target_logit_SN of BLOCK_N tokens over one stretch of the vocabulary."""
    first_row = tl.program_id(0) * BLOCK_N
    rows = first_row + tl.arange(0, BLOCK_N)
    row_mask = rows < num_rows
    target = tl.load(target_ptr + rows, mask=row_mask, other=-1)
    # Rows and words past the end are clamped and discarded later: masks of rows inside the product
    # cost 24 to 66 registers a thread (sm_90: 208 to 250 of them, now 184).
    hidden_rows = hidden_ptr + tl.minimum(rows, num_rows - 1).to(tl.int64)[:, None] * width
    start = tl.program_id(1) * stretch
    maximum = tl.full((BLOCK_N,), -float("inf"), tl.float32)
    total = tl.zeros((BLOCK_N,), tl.float32)
    target_logit = tl.zeros((BLOCK_N,), tl.float32)
    for first in range(start, tl.minimum(start + stretch, vocabulary), BLOCK_V):
        words = first + tl.arange(0, BLOCK_V)
        word_mask = words < vocabulary
        weight_rows = weight_ptr + tl.minimum(words, vocabulary - 1).to(tl.int64)[None, :] * width
        logits = tl.zeros((BLOCK_N, BLOCK_V), tl.float32)
        for column in range(0, width, BLOCK_C):
            columns = column + tl.arange(0, BLOCK_C)
            column_mask = columns < width
            hidden = tl.load(
                hidden_rows + columns[None, :],
                mask=column_mask[None, :],
                other=0.0,
            )
            weight = tl.load(
                weight_rows + columns[:, None],
                mask=column_mask[:, None],
                other=0.0,
            )
            logits = tl.dot(hidden, weight, logits, input_precision=PRECISION)
        is_target = words[None, :] == target[:, None]
        target_logit += tl.sum(tl.where(is_target, logits, 0.0), axis=1)
        logits = tl.where(word_mask[None, :], logits, -float("inf"))
        new_maximum = tl.maximum(maximum, tl.max(logits, axis=1))
        total = total * tl.exp(maximum - new_maximum)
        total += tl.sum(tl.exp(logits - new_maximum[:, None]), axis=1)
        maximum = new_maximum
    out = tl.program_id(1).to(tl.int64) * num_rows + rows
    tl.store(logsumexp_ptr + out, maximum + tl.log(total), mask=row_mask)
    tl.store(target_logit_ptr + out, target_logit, mask=row_mask)


@triton.jit  # type: ignore[untyped-decorator]  # triton has no types
def _to_gradient_kernel(
    logits_ptr: tl.tensor,
    target_ptr: tl.tensor,
    grad_loss_ptr: tl.tensor,
    loss_ptr: tl.tensor,
    row_stride: tl.tensor,
    vocabulary: tl.tensor,
    ignore_index: tl.tensor,
    BLOCK_V: tl.constexpr,
) -> None:
    """Loss of one token, and its logits turned into their gradient. Padding is overwritten."""
    row = tl.program_id(0).to(tl.int64)
    logits_row = logits_ptr + row * row_stride
    target = tl.load(target_ptr + row)
    # The mask is the padded row's length, a multiple of 16, else every load would be of 2 bytes.
    maximum = -float("inf")
    total = 0.0
    for first in range(0, vocabulary, BLOCK_V):
        words = first + tl.arange(0, BLOCK_V)
        logits = tl.load(logits_row + words, mask=words < row_stride, other=0.0).to(tl.float32)
        logits = tl.where(words < vocabulary, logits, -float("inf"))
        new_maximum = tl.maximum(maximum, tl.max(logits, axis=0))
        total = total * tl.exp(maximum - new_maximum) + tl.sum(tl.exp(logits - new_maximum), axis=0)
        maximum = new_maximum
    logsumexp = maximum + tl.log(total)
    kept = target != ignore_index
    in_range = (target >= 0) & (target < vocabulary)
    target_logit = tl.load(logits_row + target, mask=in_range, other=float("nan")).to(tl.float32)
    tl.store(loss_ptr + row, tl.where(kept, logsumexp - target_logit, 0.0))
    grad_loss = tl.load(grad_loss_ptr + row)
    # No warp may overwrite the target's logit before all have read it.
    tl.debug_barrier()
    for first in range(0, vocabulary, BLOCK_V):
        words = first + tl.arange(0, BLOCK_V)
        mask = words < row_stride
        logits = tl.load(logits_row + words, mask=mask, other=0.0).to(tl.float32)
        probability = tl.exp(tl.where(words < vocabulary, logits, -float("inf")) - logsumexp)
        gradient = tl.where(words == target, probability - 1.0, probability) * grad_loss
        gradient = tl.where(kept, gradient, 0.0)
        tl.store(logits_row + words, gradient.to(logits_ptr.dtype.element_ty), mask=mask)


def token_losses(
    hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor, ignore_index: int
) -> Tensor:
    """Return loss_N in fp32, 0 where the target is ignored, NaN where it is out of range.

    `hidden_NC` and `weight_VC` are fp32, bf16 or fp16; `target_N` is int64.
    """
    num_rows, width = hidden_NC.shape
    vocabulary = weight_VC.shape[0]
    element = hidden_NC.element_size()
    stretch, grid = _grid(num_rows, vocabulary, BLOCK_V[element], hidden_NC.device)
    logsumexp_SN = hidden_NC.new_empty(grid[1], num_rows, dtype=torch.float32)
    target_logit_SN = torch.empty_like(logsumexp_SN)
    with _on(hidden_NC.device):
        _token_losses_kernel[grid](
            hidden_NC.contiguous(),
            weight_VC.contiguous(),
            target_N.contiguous(),
            logsumexp_SN,
            target_logit_SN,
            num_rows,
            width,
            vocabulary,
            stretch,
            BLOCK_N=BLOCK_N,
            BLOCK_V=BLOCK_V[element],
            BLOCK_C=BLOCK_C[element],
            PRECISION=precision(hidden_NC.dtype),
            num_warps=NUM_WARPS,
            num_stages=NUM_STAGES,
        )
    loss_N = logsumexp_SN.logsumexp(dim=0) - target_logit_SN.sum(dim=0)
    in_range_N = (target_N >= 0) & (target_N < vocabulary)
    return loss_N.where(in_range_N, torch.nan).masked_fill_(target_N == ignore_index, 0)


def losses_and_gradients(
    hidden_NC: Tensor,
    weight_VC: Tensor,
    target_N: Tensor,
    ignore_index: int,
    grad_loss_N: Tensor | None,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return loss_N and the wanted ones of grad_hidden_NC and grad_weight_VC.

    Arguments as for `token_losses`; `grad_loss_N` weighs each token's gradient (None means 1). The
    logits are rounded to the dtype of the inputs. The gradient of hidden comes in that dtype, that
    of the weight, a sum over chunks, in fp32.
    """
    num_rows, vocabulary = len(hidden_NC), len(weight_VC)
    hidden_NC, weight_PC = hidden_NC.contiguous(), _padded(weight_VC)
    loss_N = hidden_NC.new_empty(num_rows, dtype=torch.float32)
    grad_loss_N = torch.ones_like(loss_N) if grad_loss_N is None else grad_loss_N.contiguous()
    grad_hidden_NC = torch.empty_like(hidden_NC) if wanted[0] else None
    grad_weight_PC = torch.zeros_like(weight_PC, dtype=torch.float32) if wanted[1] else None
    chunks = row_slices(num_rows, _rows_at_once(vocabulary))
    buffer_MP = hidden_NC.new_empty(chunks[0].stop if chunks else 0, len(weight_PC))
    for rows in chunks:
        gradient_MP = buffer_MP[: rows.stop - rows.start]
        torch.mm(hidden_NC[rows], weight_PC.t(), out=gradient_MP)
        logits_MV = gradient_MP[:, :vocabulary]
        to_gradient_(logits_MV, target_N[rows], grad_loss_N[rows], loss_N[rows], ignore_index)
        if grad_hidden_NC is not None:
            torch.mm(gradient_MP, weight_PC, out=grad_hidden_NC[rows])
        if grad_weight_PC is not None:
            _add_product_(grad_weight_PC, gradient_MP.t(), hidden_NC[rows])
    return loss_N, grad_hidden_NC, None if grad_weight_PC is None else grad_weight_PC[:vocabulary]


def _padded(weight_VC: Tensor) -> Tensor:
    """The weight with rows of zeros up to P, a multiple of `_ALIGNMENT`: cuBLAS's fast products."""
    missing = -len(weight_VC) % _ALIGNMENT
    return F.pad(weight_VC, (0, 0, 0, missing)) if missing else weight_VC.contiguous()


def to_gradient_(
    logits_MV: Tensor, target_M: Tensor, grad_loss_M: Tensor, loss_M: Tensor, ignore_index: int
) -> None:
    """Turn `logits_MV`, rows of a padded buffer, into their gradient; fill `loss_M`."""
    vocabulary = logits_MV.shape[1]
    block = min(MAX_BLOCK_WORDS, triton.next_power_of_2(vocabulary))
    with _on(logits_MV.device):
        _to_gradient_kernel[(len(logits_MV),)](
            logits_MV,
            target_M.contiguous(),
            grad_loss_M,
            loss_M,
            logits_MV.stride(0),
            vocabulary,
            ignore_index,
            BLOCK_V=block,
            num_warps=max(1, block // 512),
        )


def _add_product_(sum_VC: Tensor, gradient_VM: Tensor, hidden_MC: Tensor) -> None:
    if hidden_MC.dtype == sum_VC.dtype:
        sum_VC.addmm_(gradient_VM, hidden_MC)
    else:  # cuBLAS multiplies bf16 and adds into fp32, with no rounding between chunks
        torch.addmm(sum_VC, gradient_VM, hidden_MC, out_dtype=sum_VC.dtype, out=sum_VC)


def _rows_at_once(vocabulary: int) -> int:
    """Power of two, so that chunks fill whole tiles of cuBLAS."""
    return 1 << max(0, (_MAX_ELEMENTS // vocabulary).bit_length() - 1)


def _grid(
    num_rows: int, vocabulary: int, block_v: int, device: torch.device
) -> tuple[int, tuple[int, int]]:
    """Length of a stretch of the vocabulary, and the grid of token blocks x stretches."""
    row_blocks, word_blocks = triton.cdiv(num_rows, BLOCK_N), triton.cdiv(vocabulary, block_v)
    programs = _PROGRAMS_EACH * _processors(device)
    stretches = min(word_blocks, triton.cdiv(programs, max(1, row_blocks)))
    stretch = triton.cdiv(word_blocks, stretches) * block_v
    return stretch, (row_blocks, triton.cdiv(vocabulary, stretch))


def _processors(device: torch.device) -> int:
    """1 on the CPU, where Triton's interpreter runs one program after the other."""
    if device.type != "cuda":
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count


def _on(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Triton launches on the current device, which needn't be the tensors'."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def precision(dtype: torch.dtype) -> str:
    """Fp32: one TF32 product where torch may use TF32, else three, about as exact as fp32's."""
    if dtype != torch.float32:
        return "ieee"
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "tf32x3"
