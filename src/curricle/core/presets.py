"""Models of published shape, with the vocabulary and the length they were published with.

Sources: GPT-2's, Pythia's (arXiv 2304.01373, table 1) and OPT's (arXiv 2205.01068, table 1)
released configurations.

IrreducibleCurriculum: Fan & Jaggi (arXiv 2310.15389) give 6 layers and 82M parameters for the
proxy, 12 layers and 124M for the target, and 512 tokens, but no widths. Ours are derived: GPT-2's
width of 768 and 12 heads are the ones that give both numbers.

DataDecide (arXiv 2504.11393): width, heads and depth from 150M on as in AI2's ladder code
(scripts/ladder.py of allenai/OLMo); the smaller ones reproduce the sizes that the paper's table
names, but couldn't be checked against a primary source, least of all their heads. Architecture:
rotary, RMSNorm with epsilon 1e-6, SwiGLU of four times the width, no biases, a head of its own.
That is our llama family. The sizes in the names leave out the token embeddings but not the head,
which we count as an embedding: DataDecide-150M has 152M parameters with its head, 113M without.
"""

import difflib
from types import MappingProxyType

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec


def _gpt2(num_layers: int, width: int, num_heads: int, sequence_length: int = 1024) -> ModelSpec:
    return ModelSpec(
        family="gpt2",
        num_layers=num_layers,
        width=width,
        num_heads=num_heads,
        vocabulary_size=50_257,
        sequence_length=sequence_length,
    )


def _pythia(num_layers: int, width: int, num_heads: int) -> ModelSpec:
    return ModelSpec(
        family="pythia",
        num_layers=num_layers,
        width=width,
        num_heads=num_heads,
        vocabulary_size=50_304,
        sequence_length=2048,
    )


def _opt(
    num_layers: int,
    width: int,
    num_heads: int,
    *,
    embedding_width: int | None = None,
    post_norm: bool = False,
) -> ModelSpec:
    return ModelSpec(
        family="opt",
        num_layers=num_layers,
        width=width,
        num_heads=num_heads,
        vocabulary_size=50_272,
        sequence_length=2048,
        embedding_width=embedding_width,
        post_norm=post_norm,
    )


def _datadecide(num_layers: int, width: int, num_heads: int) -> ModelSpec:
    return ModelSpec(
        family="llama",
        num_layers=num_layers,
        width=width,
        num_heads=num_heads,
        vocabulary_size=50_304,
        sequence_length=2048,
        feed_forward_width=4 * width,
        norm_epsilon=1e-6,
    )


PRESETS = MappingProxyType(
    {
        "GPT2-124M": _gpt2(12, 768, 12),
        "GPT2-355M": _gpt2(24, 1024, 16),
        "GPT2-774M": _gpt2(36, 1280, 20),
        "Pythia-70M": _pythia(6, 512, 8),
        "Pythia-160M": _pythia(12, 768, 12),
        "Pythia-410M": _pythia(24, 1024, 16),
        "Pythia-1B": _pythia(16, 2048, 8),
        "OPT-125M": _opt(12, 768, 12),
        "OPT-350M": _opt(24, 1024, 16, embedding_width=512, post_norm=True),
        "IrreducibleCurriculum-82M": _gpt2(6, 768, 12, sequence_length=512),
        "IrreducibleCurriculum-124M": _gpt2(12, 768, 12, sequence_length=512),
        "DataDecide-4M": _datadecide(8, 64, 8),
        "DataDecide-6M": _datadecide(8, 96, 8),
        "DataDecide-8M": _datadecide(8, 128, 8),
        "DataDecide-10M": _datadecide(8, 144, 8),
        "DataDecide-14M": _datadecide(8, 192, 8),
        "DataDecide-16M": _datadecide(8, 208, 8),
        "DataDecide-20M": _datadecide(16, 192, 8),
        "DataDecide-60M": _datadecide(16, 384, 12),
        "DataDecide-90M": _datadecide(16, 528, 12),
        "DataDecide-150M": _datadecide(12, 768, 12),
        "DataDecide-300M": _datadecide(16, 1024, 16),
        "DataDecide-530M": _datadecide(16, 1344, 16),
        "DataDecide-750M": _datadecide(16, 1536, 16),
        "DataDecide-1B": _datadecide(16, 2048, 16),
    }
)


_NAMES = {name.lower(): name for name in PRESETS}


def preset(name: str) -> ModelSpec:
    """The published model `name`, in any case of letters. Raises InputError for an unknown one."""
    if name.lower() in _NAMES:
        return PRESETS[_NAMES[name.lower()]]
    close = difflib.get_close_matches(name.lower(), _NAMES, n=1)
    raise InputError(
        f"preset {name!r}",
        expected=f"one of {', '.join(PRESETS)}",
        fix=f"did you mean {_NAMES[close[0]]}?" if close else "choose one",
    )
