"""AdamW over a model's parameters, weight decay where it belongs."""

import torch
from torch import nn

from curricle.core.jobs import OptimizerSpec


def build_optimizer(model: nn.Module, spec: OptimizerSpec) -> torch.optim.AdamW:
    """AdamW, fused; weight decay on the matrices of Linear layers, or on everything."""
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
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=betas, fused=True)
