"""Cross entropy of a language model's head, without storing the logits.

    logits_NV = hidden_NC @ weight_VC.T
    loss_n    = logsumexp_v(logits_nv) - logits_n,target(n)

    d loss_n / d logits_nv = softmax_v(logits_nv) - [v = target(n)]  =: G_nv
    grad_hidden_NC = G_NV @ weight_VC,   grad_weight_VC = G_NV.T @ hidden_NC

N tokens x V words of logits are by far the largest tensor of a small language model's step. Here
they exist only for a chunk of tokens at a time (`reference`, the CPU path) or, when no gradient is
wanted, only inside a GPU kernel (`triton_kernels`).

Shape suffixes: N tokens, C width of the model, V words of the vocabulary.

Method: chunks of tokens whose gradients are made in the forward pass, as in Liger-Kernel
(Hsu et al. 2024, arXiv 2410.10989); online logsumexp of Milakov and Gimelshein 2018
(arXiv 1805.02867).
"""

from typing import Any, Literal, Protocol, cast, get_args

import torch
from torch import Tensor

from curricle.kernels.availability import has_triton
from curricle.kernels.linear_cross_entropy import reference

Reduction = Literal["mean", "sum", "none"]
_INTEGERS = (torch.int32, torch.int64)


class Backend(Protocol):
    """What the two implementations, `reference` and `triton_kernels`, have in common."""

    def token_losses(
        self, hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor, ignore_index: int
    ) -> Tensor:
        """Return loss_N, 0 where the target is ignored."""

    def losses_and_gradients(
        self,
        hidden_NC: Tensor,
        weight_VC: Tensor,
        target_N: Tensor,
        ignore_index: int,
        grad_loss_N: Tensor | None,
        wanted: tuple[bool, bool],
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return loss_N and the wanted ones of grad_hidden_NC and grad_weight_VC.

        `grad_loss_N` weighs the tokens; None means 1 for each.
        """


def linear_cross_entropy(
    hidden_NC: Tensor,
    weight_VC: Tensor,
    target_N: Tensor,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy between `hidden_NC @ weight_VC.T` and `target_N`, without storing the logits.

    Args:
        hidden_NC: hidden states, floating point, any strides.
        weight_VC: weight of the head, dtype of `hidden_NC`. Under autocast the two may differ and
            are multiplied in the autocast dtype, as `torch.nn.functional.linear` would.
        target_N: integers in [0, V), or `ignore_index`.
        ignore_index: tokens with this target have loss 0 and no gradient.
        reduction: "mean" over the tokens that aren't ignored, "sum" over them, or "none".

    Returns:
        A scalar, or loss_N for "none"; fp32, or fp64 for fp64 inputs. Sums run in fp32 (fp64) for
        every dtype. Where no gradient is wanted, logits stay fp32 too. Where one is, those of bf16
        and fp16 inputs are rounded to that dtype on CUDA, as torch's are, and those of bf16 inputs
        on CPUs with bf16 instructions. The mean is NaN when every token is ignored, with gradients
        of 0, as torch's.

    Gradients reach both inputs, each in its own dtype: under autocast that of an fp32 weight is the
    fp32 sum itself, not rounded to the autocast dtype. They can be taken more than once
    (`retain_graph=True`), but have no derivative themselves: backward with `create_graph=True`
    raises. Hessian products need the plain form, `F.cross_entropy(hidden_NC @ weight_VC.T,
    target_N)`.

    For "mean" and "sum" the gradients are computed in the forward pass and kept until backward:
    call it under `torch.no_grad()` where no gradient is wanted.

    Raises:
        ValueError: for shapes, dtypes, devices or a reduction other than the above; on CPU also for
            a target out of range. On CUDA, where looking would stall the device, such a token's
            loss is NaN.
        RuntimeError: in backward with `create_graph=True`.
    """
    _check_shapes(hidden_NC, weight_VC, target_N, reduction)
    dtype = _product_dtype(hidden_NC, weight_VC, target_N)
    # Compiled code breaks its graph here: tracing would unroll the loop over chunks. Only then, as
    # torch.compiler.disable takes 1.6 s to import what it needs.
    disable: Any = torch.compiler.disable
    loss = disable(_loss) if torch.compiler.is_compiling() else _loss
    found = loss(hidden_NC, weight_VC, target_N.long(), ignore_index, reduction, dtype)
    return cast("Tensor", found)


def _loss(
    hidden_NC: Tensor,
    weight_VC: Tensor,
    target_N: Tensor,
    ignore_index: int,
    reduction: Reduction,
    dtype: torch.dtype,
) -> Tensor:
    backend = _backend(hidden_NC.device, dtype)
    differentiable: Any = _TokenLosses if reduction == "none" else _ReducedLoss
    with torch.autocast(hidden_NC.device.type, enabled=False):
        if torch.is_grad_enabled() and (hidden_NC.requires_grad or weight_VC.requires_grad):
            inputs = (hidden_NC, weight_VC, target_N, ignore_index, reduction, dtype, backend)
            return cast("Tensor", differentiable.apply(*inputs))
        loss_N = backend.token_losses(
            hidden_NC.to(dtype), weight_VC.to(dtype), target_N, ignore_index
        )
        if reduction == "none":
            return loss_N
        return loss_N.sum() / _divisor(target_N, ignore_index, reduction)


def _divisor(target_N: Tensor, ignore_index: int, reduction: str) -> Tensor:
    return target_N.new_ones(()) if reduction == "sum" else (target_N != ignore_index).sum()


class _ReducedLoss(torch.autograd.Function):
    """Sum or mean. Gradients are made in forward, where the logits are at hand once."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NC: Tensor,
        weight_VC: Tensor,
        target_N: Tensor,
        ignore_index: int,
        reduction: str,
        dtype: torch.dtype,
        backend: Backend,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[:2]
        loss_N, *gradients = backend.losses_and_gradients(
            hidden_NC.to(dtype), weight_VC.to(dtype), target_N, ignore_index, None, wanted
        )
        divisor = _divisor(target_N, ignore_index, reduction)
        ctx.save_for_backward(*gradients, divisor)
        ctx.dtypes = (hidden_NC.dtype, weight_VC.dtype)
        return loss_N.sum() / divisor

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_create_graph()
        *gradients, divisor = ctx.saved_tensors
        scale = grad_loss / divisor.clamp(min=1)
        pairs = zip(gradients, ctx.dtypes, strict=True)
        return *(_scaled(gradient, scale, dtype) for gradient, dtype in pairs), *[None] * 5


class _TokenLosses(torch.autograd.Function):
    """One loss a token. Their weights are known only in backward, so that logits are made twice."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NC: Tensor,
        weight_VC: Tensor,
        target_N: Tensor,
        ignore_index: int,
        _reduction: str,
        dtype: torch.dtype,
        backend: Backend,
    ) -> Tensor:
        ctx.save_for_backward(hidden_NC, weight_VC, target_N)
        ctx.ignore_index, ctx.dtype, ctx.backend = ignore_index, dtype, backend
        return backend.token_losses(
            hidden_NC.to(dtype), weight_VC.to(dtype), target_N, ignore_index
        )

    @staticmethod
    def backward(ctx: Any, grad_loss_N: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_create_graph()
        hidden_NC, weight_VC, target_N = ctx.saved_tensors
        with torch.autocast(hidden_NC.device.type, enabled=False):
            _, *gradients = ctx.backend.losses_and_gradients(
                hidden_NC.to(ctx.dtype),
                weight_VC.to(ctx.dtype),
                target_N,
                ctx.ignore_index,
                grad_loss_N,
                ctx.needs_input_grad[:2],
            )
        pairs = zip(gradients, (hidden_NC.dtype, weight_VC.dtype), strict=True)
        return *(None if each is None else each.to(dtype) for each, dtype in pairs), *[None] * 5


def _scaled(gradient: Tensor | None, scale: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Scale into a new tensor: the saved one serves again under `retain_graph=True`."""
    if gradient is None:
        return None
    return torch.mul(gradient, scale, out=torch.empty_like(gradient, dtype=dtype))


def _refuse_create_graph() -> None:
    # `once_differentiable` isn't enough: it raises only where the incoming gradient itself needs
    # one, so that `loss.backward(create_graph=True)` would silently take these for constants.
    if torch.is_grad_enabled():
        raise RuntimeError(
            "linear_cross_entropy has no second derivative: found backward with create_graph=True, "
            "expected create_graph=False; for Hessian products use "
            "torch.nn.functional.cross_entropy(hidden @ weight.T, target)"
        )


def _product_dtype(hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor) -> torch.dtype:
    """The dtype that both inputs are multiplied in."""
    dtypes = [hidden_NC.dtype, weight_VC.dtype, target_N.dtype]
    device_type = hidden_NC.device.type
    casts = torch.is_autocast_enabled(device_type) and torch.float64 not in dtypes
    floating = all(dtype.is_floating_point for dtype in dtypes[:2])
    if not floating or (dtypes[0] != dtypes[1] and not casts) or dtypes[2] not in _INTEGERS:
        raise ValueError(_message("dtypes", dtypes, "one floating dtype, int32 or int64"))
    return torch.get_autocast_dtype(device_type) if casts else hidden_NC.dtype


def _backend(device: torch.device, dtype: torch.dtype) -> Backend:
    if device.type != "cuda" or dtype == torch.float64 or not has_triton():
        return reference
    from curricle.kernels.linear_cross_entropy import triton_kernels

    return triton_kernels


def _check_shapes(hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor, reduction: str) -> None:
    shapes = [tuple(tensor.shape) for tensor in (hidden_NC, weight_VC, target_N)]
    if [len(shape) for shape in shapes] != [2, 2, 1]:
        raise ValueError(_message("shapes", shapes, "(N, C), (V, C), (N,)"))
    if hidden_NC.shape != (target_N.shape[0], weight_VC.shape[1]):
        raise ValueError(_message("shapes", shapes, "(N, C), (V, C), (N,) with the same N and C"))
    devices = [str(tensor.device) for tensor in (hidden_NC, weight_VC, target_N)]
    if len(set(devices)) != 1:
        raise ValueError(_message("devices", devices, "one device"))
    if reduction not in get_args(Reduction):
        raise ValueError(f"found reduction {reduction!r}, expected one of {get_args(Reduction)}")


def _message(what: str, found: list[Any], expected: str) -> str:
    words = ", ".join(str(value) for value in found)
    return f"found {what} of hidden, weight, target: {words}; expected {expected}"
