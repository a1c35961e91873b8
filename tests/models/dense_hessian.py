"""Small models whose Hessian fits in memory, and what ours finds of it, as a Markdown table.

    python -m tests.models.dense_hessian

The dense Hessian is `torch.func`'s, in fp64. Lanczos stops at a tolerance of 1e-3.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacfwd
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import StableLmConfig, StableLmForCausalLM

from curricle.core.jobs import ModelSpec
from curricle.models.decoder import build_model
from curricle.models.hessian import BatchLoss
from curricle.models.lanczos import extreme_eigenvalues, hutchinson_trace
from curricle.models.language_model import LanguageModel
from curricle.models.loading import load_language_model

Case = tuple[LanguageModel, Tensor]

VOCABULARY, LENGTH = 7, 5
SMALL = ModelSpec(
    family="gpt2",
    num_layers=1,
    width=4,
    num_heads=1,
    vocabulary_size=VOCABULARY,
    sequence_length=LENGTH,
)


class Logits(nn.Module):
    """All of a model's work as one call, for `functional_call`."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BT: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return self.model.logits(self.model.hidden(tokens_BT))


def dense_hessian(model: LanguageModel, windows: Tensor) -> Tensor:
    # torch.func.hessian is jacfwd of jacrev, whose vmap gives layer_norm's weight a wrong second
    # derivative in torch 2.13 (finite differences show it); jacfwd of grad is right.
    module = Logits(model)
    named = dict(module.named_parameters())

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([parameter.numel() for parameter in named.values()])
        weights = {
            name: part.view_as(parameter)
            for (name, parameter), part in zip(named.items(), parts, strict=True)
        }
        logits = functional_call(module, weights, (windows[:, :-1],))
        return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())

    return jacfwd(grad(loss))(torch.cat([each.detach().flatten() for each in named.values()]))


def scaled_model(scale: float, seed: int, spec: ModelSpec = SMALL) -> LanguageModel:
    model = build_model(spec, seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0) if name == "final_norm.weight" else parameter.mul_(scale)
    return model.double()


def draw_windows(samples: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (samples, LENGTH + 1), generator=generator)


def hugging_face_model(folder: Path) -> LanguageModel:
    """A model that no family of ours expresses, run in transformers' own code."""
    torch.manual_seed(0)
    config = StableLmConfig(
        vocab_size=VOCABULARY,
        hidden_size=4,
        intermediate_size=6,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=LENGTH,
        initializer_range=0.5,
    )
    StableLmForCausalLM(config).save_pretrained(folder)
    return load_language_model(folder).double()


def family_model(**changes: Any) -> LanguageModel:
    """A fresh model of a family, its matrices ten times as large as they start."""
    model = build_model(replace(SMALL, **changes), seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(10)
    return model.double()


def _family(**changes: Any) -> Callable[[Path], Case]:
    return lambda _: (family_model(**changes), draw_windows(6, seed=0))


CLOSE, NEGATIVE = "gpt2, top two close", "gpt2, largest absolute one negative"
CASES: dict[str, Callable[[Path], Case]] = {
    CLOSE: lambda _: (scaled_model(0.05, seed=4), draw_windows(60, seed=4)),
    NEGATIVE: lambda _: (scaled_model(5.0, seed=3), draw_windows(6, seed=3)),
    "pythia": _family(family="pythia", width=8, num_heads=1),
    "opt": _family(family="opt"),
    "opt, post-norm with projections": _family(family="opt", embedding_width=2, post_norm=True),
    "llama, grouped heads": _family(
        family="llama", num_heads=2, num_kv_heads=1, feed_forward_width=6
    ),
    "StableLM in Hugging Face's code": lambda folder: (
        hugging_face_model(folder),
        draw_windows(6, seed=0),
    ),
}


def start_vector(size: int) -> Tensor:
    """Where Lanczos starts."""
    return torch.randn(size, generator=torch.Generator().manual_seed(1)).double()


def main() -> None:
    """Print the table."""
    columns = ["model", "parameters", "largest", "second / largest", "smallest"]
    columns += ["error, largest", "error, smallest", "products", "trace", "Hutchinson, 400 samples"]
    print(f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", sep="\n")
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | {' | '.join(_cells(*case(Path(folder))))} |", flush=True)


def _cells(model: LanguageModel, windows: Tensor) -> tuple[str, ...]:
    matrix = dense_hessian(model, windows)
    exact = torch.linalg.eigvalsh(matrix)
    product = BatchLoss(model, windows).hessian_product(list(model.parameters()))
    found = extreme_eigenvalues(product, start_vector(len(exact)), 200, tolerance=1e-3)
    trace = hutchinson_trace(product, matrix[0], 400, seed=0)
    ends = (
        (found.largest.eigenvalue, exact[-1].item()),
        (found.smallest.eigenvalue, exact[0].item()),
    )
    errors = [abs(ours / true - 1) for ours, true in ends]
    return (
        f"{len(exact):,}",
        f"{exact[-1]:.4g}",
        f"{exact[-2] / exact[-1]:.3f}",
        f"{exact[0]:.4g}",
        *(f"{error:.1e}" for error in errors),
        str(found.iterations),
        f"{matrix.trace():.4g}",
        f"{trace.value:.4g} ± {trace.error:.2g}",
    )


if __name__ == "__main__":
    main()
