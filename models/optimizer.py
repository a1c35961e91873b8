"""AdamW over a model's parameters, weight decay where it belongs."""

import torch
from torch import Tensor, nn

from curricle.core.jobs import OptimizerSpec


def build_optimizer(
    model: nn.Module, spec: OptimizerSpec, *, graphed: bool = False
) -> torch.optim.AdamW:
    """AdamW, fused; weight decay on the matrices of Linear layers, or on everything.

    A CUDA graph (`graphed`) reads the learning rate from the GPU at each replay.
    """
    matrices = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    parameters = list(model.parameters())
    decayed = [p for p in parameters if spec.decay_all or id(p) in matrices]
    spared = [p for p in parameters if not spec.decay_all and id(p) not in matrices]
    groups = [
        {"params": decayed, "weight_decay": spec.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    betas = (spec.beta1, spec.beta2)
    groups = [group for group in groups if group["params"]]
    rate: float | Tensor = spec.learning_rate
    if graphed:
        rate = torch.tensor(rate, device=parameters[0].device)
    return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True, capturable=graphed)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step have `rate`."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
