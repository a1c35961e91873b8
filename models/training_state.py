"""The tensors of a training run, by name, whole on every number of devices.

Sharded tensors are gathered when they are collected and shared out again when they are restored, so
that a run can go on on another number of devices.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from curricle.models.averaging import WeightAverage

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def whole(tensor: Tensor) -> Tensor:
    """`tensor` on the CPU; gathered from all devices if it is sharded."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()


def model_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters by name; tied ones once."""
    return {name: whole(parameter) for name, parameter in model.named_parameters()}


def average_weights(model: nn.Module, average: WeightAverage) -> dict[str, Tensor]:
    """The averaged parameters by name."""
    names = [name for name, _ in model.named_parameters()]
    return {name: whole(tensor) for name, tensor in zip(names, average.tensors, strict=True)}


def collect_state(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> dict[str, Tensor]:
    """Everything a run needs to go on: weights, Adam's moments and step counts, the average."""
    state = {f"model/{name}": tensor for name, tensor in model_weights(model).items()}
    for name, parameter in model.named_parameters():
        for moment in MOMENTS:
            state[f"{moment}/{name}"] = whole(optimizer.state[parameter][moment])
    if average is not None:
        weights = average_weights(model, average)
        state |= {f"average/{name}": tensor for name, tensor in weights.items()}
    return state


def restore_state(
    state: Mapping[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
) -> None:
    """Put what `collect_state` gave back in its place. Raises KeyError if a tensor is missing."""
    named = list(model.named_parameters())
    _copy((state[f"model/{name}"], parameter) for name, parameter in named)
    for name, parameter in named:
        # A fused AdamW keeps its step counts where the parameters are.
        optimizer.state[parameter] = {
            moment: _like(state[f"{moment}/{name}"], parameter) for moment in MOMENTS
        }
    if average is not None:
        pairs = zip(named, average.tensors, strict=True)
        _copy((state[f"average/{name}"], tensor) for (name, _), tensor in pairs)


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
