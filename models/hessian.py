"""A model's mean loss on one fixed batch, its gradient, and products with its Hessian.

Everything works on flat vectors over a chosen list of parameters, in their order.

Shape suffixes: B samples, T positions, N = B * T, V vocabulary, P all chosen parameters together.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from curricle.models.interruption import note_progress
from curricle.models.language_model import LanguageModel

Product = Callable[[Tensor], Tensor]


class BatchLoss:
    """The mean next-token loss, in nats, of `model` over the token windows `windows_BT1`.

    It is summed over micro-batches of `micro_batch_size` samples (default: all in one), so that the
    batch decides the measure and the micro-batch the memory.
    """

    def __init__(
        self, model: LanguageModel, windows_BT1: Tensor, micro_batch_size: int | None = None
    ) -> None:
        self.model = model.eval()
        at_once = micro_batch_size or len(windows_BT1)
        self.parts = torch.split(windows_BT1.to(model.head_weight.device), at_once)
        self.tokens = windows_BT1[:, 1:].numel()

    @torch.no_grad()
    def value(self) -> float:
        """The loss at the model's present weights, summed in fp64."""
        sums = [self.model.token_losses(part).double().sum().item() for part in self.parts]
        return sum(sums) / self.tokens

    def gradient(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """Gradient with respect to `parameters`, shape (P,)."""
        return self._sum(_flat(torch.autograd.grad(loss, parameters)) for loss in self._losses())

    def hessian_product(self, parameters: Sequence[nn.Parameter]) -> Product:
        """The map v -> H v, (P,) to (P,), H being the Hessian with respect to `parameters`.

        Reverse over reverse. With one micro-batch the gradient's graph is built once and kept, and
        a product is one backward pass through it; with several it is built anew for each product,
        at half as much again.
        """
        if len(self.parts) == 1:
            (kept,) = self._gradients(parameters)
            return lambda vector_P: _backward(kept, parameters, vector_P, keep=True)

        def product(vector_P: Tensor) -> Tensor:
            gradients = self._gradients(parameters)
            return self._sum(
                _backward(each, parameters, vector_P, keep=False) for each in gradients
            )

        return product

    def _gradients(self, parameters: Sequence[nn.Parameter]) -> Iterator[Tensor]:
        """Each micro-batch's share of the gradient, with the graph that it came from."""
        for loss in self._losses():
            yield _flat(torch.autograd.grad(loss, parameters, create_graph=True))

    def _losses(self) -> Iterator[Tensor]:
        """Each micro-batch's share of the loss, in operations that have second derivatives."""
        for part_BT1 in self.parts:
            note_progress()
            with sdpa_kernel(SDPBackend.MATH):
                logits_BTV = self.model.logits(self.model.hidden(part_BT1[:, :-1]))
                target_N = part_BT1[:, 1:].flatten()
                yield F.cross_entropy(logits_BTV.flatten(0, 1), target_N, reduction="sum").div(
                    self.tokens
                )

    @staticmethod
    def _sum(vectors: Iterator[Tensor]) -> Tensor:
        total_P = next(vectors)
        for vector_P in vectors:
            total_P += vector_P
        return total_P


def dense_parameters(model: LanguageModel) -> list[nn.Parameter]:
    """The weight matrices of the layers: neither embeddings nor head, neither norms nor biases."""
    parameters = list(model.parameters())
    tables = {id(each.weight) for each in model.modules() if isinstance(each, nn.Embedding)}
    # The head's matrix needn't be a parameter itself: it may be put together from several.
    in_head = torch.autograd.grad(model.head_weight.sum(), parameters, allow_unused=True)
    return [
        parameter
        for parameter, reached in zip(parameters, in_head, strict=True)
        if parameter.dim() == 2 and reached is None and id(parameter) not in tables
    ]


def _backward(
    gradient_P: Tensor, parameters: Sequence[nn.Parameter], vector_P: Tensor, *, keep: bool
) -> Tensor:
    return _flat(torch.autograd.grad(gradient_P, parameters, vector_P, retain_graph=keep))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
