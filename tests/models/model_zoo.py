"""Small models of every family and variant, and a tokenizer and real text for them."""

import functools
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from curricle.core.jobs import ModelSpec
from curricle.models.checkpoint import save_spec, save_weights
from curricle.models.decoder import Decoder, build_model
from curricle.recipes.tokenizing import train

TEXT = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")
LENGTH, VOCABULARY = 48, 320
_GPT2 = ModelSpec(
    family="gpt2",
    num_layers=3,
    width=48,
    num_heads=4,
    vocabulary_size=VOCABULARY,
    sequence_length=LENGTH,
)
_OPT, _LLAMA = replace(_GPT2, family="opt"), replace(_GPT2, family="llama")
_PYTHIA = replace(_GPT2, family="pythia", num_heads=2)

SPECS = {
    "gpt2": _GPT2,
    "gpt2-untied": replace(_GPT2, tied_head=False, feed_forward_width=80),
    "pythia": _PYTHIA,
    "pythia-tied": replace(_PYTHIA, width=72, num_heads=3, tied_head=True, rotary_base=5e3),
    "opt": _OPT,
    "opt-post-norm": replace(_OPT, embedding_width=32, post_norm=True),
    "llama": _LLAMA,
    "llama-grouped": replace(
        _LLAMA,
        num_kv_heads=2,
        tied_head=True,
        rotary_base=5e5,
        norm_epsilon=1e-6,
        feed_forward_width=100,
    ),
}


def lively_model(spec: ModelSpec) -> Decoder:
    """A model whose biases and norms count: all parameters moved away from where they start."""
    model = build_model(spec, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def save_checkpoint(folder: Path, model: Decoder) -> Path:
    """The folder that a training job leaves."""
    folder.mkdir()
    save_spec(folder, model.spec)
    save_weights(folder, model.state_dict())
    return folder


@functools.cache
def tokenizer() -> Tokenizer:
    """A byte-level BPE of the models' vocabulary, trained on real text."""
    return train([TEXT], VOCABULARY)


def save_tokenizer(folder: Path) -> Path:
    """A tokenizer's folder, as the store has it."""
    folder.mkdir()
    (folder / "tokenizer.json").write_text(tokenizer().to_str(), encoding="utf-8")
    return folder


def token_batches() -> dict[str, Tensor]:
    """Windows (B, T + 1) of random tokens, and of real text."""
    random = torch.randint(VOCABULARY, (3, LENGTH + 1), generator=torch.Generator().manual_seed(2))
    ids = tokenizer().encode(TEXT).ids
    real = torch.tensor(ids[: 4 * (LENGTH + 1)]).view(4, LENGTH + 1)
    return {"random": random, "real": real}
