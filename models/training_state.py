"""The tensors of a training run, by name, whole on every number of devices.

Sharded tensors are gathered when they are collected and shared out again when they are restored, so
that a run can go on on another number of devices.
"""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from curricle.core.errors import IntegrityError
from curricle.models.averaging import WeightAverage

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def whole(tensor: Tensor) -> Tensor:
    """`tensor` without its graph; gathered from all devices if it is sharded."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(named: Iterable[tuple[str, Tensor]], *, keep: bool) -> dict[str, Tensor]:
    """The tensors by name, whole and on the CPU; nothing on ranks that don't `keep` them.

    All ranks must take part, for sharded tensors; these are whole on a device one at a time.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in named:
        full = whole(tensor)
        if keep:
            kept[name] = full.cpu()
    return kept


def model_weights(model: nn.Module, *, keep: bool) -> dict[str, Tensor]:
    """The model's parameters by name, tied ones once; see `gathered`."""
    return gathered(model.named_parameters(), keep=keep)


def collect_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    *,
    keep: bool,
) -> dict[str, Tensor]:
    """Everything a run needs to go on; see `gathered`.

    Weights, Adam's moments and step counts, the average.
    """
    return gathered(_named_state(model, optimizer, average), keep=keep)


def _named_state(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> Iterator[tuple[str, Tensor]]:
    for index, (name, parameter) in enumerate(model.named_parameters()):
        yield f"model/{name}", parameter
        for moment in MOMENTS:
            yield f"{moment}/{name}", optimizer.state[parameter][moment]
        if average is not None:
            yield f"average/{name}", average.tensors[index]


def restore_state(
    state: Mapping[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
) -> None:
    """Put what `collect_state` gave back in its place.

    Raises IntegrityError if that is another run's state: a tensor is missing, or of another shape.
    """
    named = list(model.named_parameters())
    _check_shapes(state, named, averaged=average is not None)
    _copy((state[f"model/{name}"], parameter) for name, parameter in named)
    for name, parameter in named:
        # A fused AdamW keeps its step counts where the parameters are.
        optimizer.state[parameter] = {
            moment: _like(state[f"{moment}/{name}"], parameter) for moment in MOMENTS
        }
    if average is not None:
        pairs = zip(named, average.tensors, strict=True)
        _copy((state[f"average/{name}"], tensor) for (name, _), tensor in pairs)


def _check_shapes(
    state: Mapping[str, Tensor], named: Iterable[tuple[str, Tensor]], *, averaged: bool
) -> None:
    parts = ("model", *MOMENTS, *(["average"] if averaged else []))
    for name, parameter in named:
        for part in parts:
            found = state.get(f"{part}/{name}")
            wanted = () if part == "step" else tuple(parameter.shape)
            if found is None or tuple(found.shape) != wanted:
                shape = "none" if found is None else tuple(found.shape)
                raise IntegrityError(f"{part}/{name}: {shape}, expected a tensor of shape {wanted}")


@torch.no_grad()
def _copy(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    for source, target in pairs:
        target.copy_(_like(source, target))


def _like(source: Tensor, parameter: Tensor) -> Tensor:
    """`source` on the parameter's device, sharded as it is."""
    moved = source.to(parameter.device, copy=True)  # a loaded tensor maps its file
    if isinstance(parameter, DTensor) and source.dim():
        return distribute_tensor(moved, parameter.device_mesh, parameter.placements)
    return moved
