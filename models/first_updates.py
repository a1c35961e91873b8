"""What the first updates of a run would be, at weights that stay as they are.

At a tiny learning rate the weights hardly move, so that the change of the validation loss is its
first-order term: minus the learning rate times the product of its gradient with the updates. The
cosines measured here are that term without its length.

Shape suffixes: P all parameters together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from curricle.core.jobs import OptimizerSpec

EPSILON = 1e-8
"""AdamW's, as torch has it."""


@dataclass(frozen=True)
class FirstUpdates:
    """The mean gradient, the mean and last of Adam's updates, and its second moment at the end.

    Each of shape (P,). Updates are steps at learning rate 1, without weight decay, to be
    subtracted.
    """

    gradient: Tensor
    mean_update: Tensor
    last_update: Tensor
    second_moment: Tensor

    @property
    def root_preconditioner(self) -> Tensor:
        """The square root (P,) of Adam's preconditioner 1 / (sqrt(v) + epsilon).

        0 for a parameter that no gradient has reached: Adam doesn't move it.
        """
        root_P = (self.second_moment.sqrt() + EPSILON).rsqrt()
        return torch.where(self.second_moment > 0, root_P, torch.zeros_like(root_P))


def first_updates(gradients: Iterable[Tensor], optimizer: OptimizerSpec) -> FirstUpdates:
    """Adam over the gradients of successive batches, each clipped as in training.

    With both moments corrected for their bias (Kingma & Ba 2015, algorithm 1).
    """
    first = second = total = updates = last = torch.zeros(())
    count = 0
    for gradient_P in gradients:
        count += 1
        norm = float(gradient_P.norm())
        total = total + gradient_P
        clipped_P = gradient_P * min(1.0, optimizer.gradient_clip / max(norm, EPSILON))
        first = optimizer.beta1 * first + (1 - optimizer.beta1) * clipped_P
        second = optimizer.beta2 * second + (1 - optimizer.beta2) * clipped_P.square()
        unbiased_P = second / (1 - optimizer.beta2**count)
        last = first / (1 - optimizer.beta1**count) / (unbiased_P.sqrt() + EPSILON)
        updates = updates + last
    assert count, "no batch"
    return FirstUpdates(total / count, updates / count, last, unbiased_P)


def cosine(first_P: Tensor, second_P: Tensor) -> float:
    """Cosine of the angle between two vectors, summed in fp64; 0 where one of them is zero."""
    first_P, second_P = first_P.double(), second_P.double()
    lengths = float(first_P.norm() * second_P.norm())
    return float(first_P @ second_P) / lengths if lengths else 0.0


def still_shares(
    weights_P: Tensor, update_P: Tensor, learning_rates: Sequence[float], dtype: torch.dtype
) -> list[float]:
    """The share of the weights that one update leaves as they are, if weights are kept in `dtype`.

    Of those whose update isn't zero; one share per learning rate. The step is computed in fp32 and
    rounded to nearest, as an optimizer over weights of that type does.
    """
    kept_P, moving_P = weights_P.to(dtype), update_P != 0
    shares = []
    for rate in learning_rates:
        stepped_P = (kept_P.float() - rate * update_P.float()).to(dtype)
        shares.append(float((stepped_P == kept_P)[moving_P].double().mean()))
    return shares
