"""The model families: what all members of one share, and the widths that follow for a spec.

gpt2 (Radford et al. 2019), pythia (GPT-NeoX; Biderman et al., arXiv 2304.01373), opt (Zhang et al.,
arXiv 2205.01068), llama (Touvron et al., arXiv 2302.13971).
"""

from dataclasses import dataclass, fields
from typing import Literal

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec

Activation = Literal["gelu", "gelu_tanh", "relu", "silu"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Settings that never vary within a family.

    `rotary_share` is the part of each head that rotary positions turn; 0 means learned positions,
    whose table OPT reads from row `position_offset` on. A `gated` feed-forward layer expands twice,
    one half gating the other. Dropout acts on attention weights in every family, on embeddings and
    residual branches where a flag says so.
    """

    activation: Activation
    biases: bool = True
    gated: bool = False
    rms_norm: bool = False
    parallel_residual: bool = False
    rotary_share: float = 0.0
    position_offset: int = 0
    tied_head: bool = True
    embedding_dropout: bool = True
    residual_dropout: bool = True


FAMILIES = {
    "gpt2": Family(activation="gelu_tanh"),
    "pythia": Family(activation="gelu", parallel_residual=True, rotary_share=0.25, tied_head=False),
    "opt": Family(activation="relu", position_offset=2, embedding_dropout=False),
    "llama": Family(
        activation="silu",
        biases=False,
        gated=True,
        rms_norm=True,
        rotary_share=1.0,
        tied_head=False,
        embedding_dropout=False,
        residual_dropout=False,
    ),
}

# Settings of a spec that only some families have; elsewhere they keep their default.
_FAMILIES_WITH = {
    "num_kv_heads": ("llama",),
    "embedding_width": ("opt",),
    "post_norm": ("opt",),
    "norm_epsilon": ("gpt2", "pythia", "llama"),
    "rotary_base": ("pythia", "llama"),
}

# A gated layer's width, 8/3 of the model's, is rounded up to a multiple of it. Llama took 256,
# which would add half as much again to a model of width 64.
GATED_MULTIPLE = 64


@dataclass(frozen=True, kw_only=True)
class Widths:
    """A spec's widths with every rule of its family applied, in units."""

    head: int
    rotary: int
    key_value: int
    feed_forward: int
    embedding: int


def family_of(spec: ModelSpec) -> Family:
    """The spec's family. Raises InputError for an unknown one."""
    if spec.family not in FAMILIES:
        names = ", ".join(FAMILIES)
        raise InputError(f"family {spec.family!r}", expected=f"one of {names}", fix="choose one")
    return FAMILIES[spec.family]


def has_tied_head(spec: ModelSpec) -> bool:
    """Whether the output head is the matrix of the token embeddings."""
    return family_of(spec).tied_head if spec.tied_head is None else spec.tied_head


def widths_of(spec: ModelSpec) -> Widths:
    """The spec's widths. Raises InputError for a shape that its family can't have."""
    family = family_of(spec)
    _check_settings(spec)
    _check_divides("num_heads", spec.num_heads, "width", spec.width)
    kv_heads = spec.num_kv_heads or spec.num_heads
    _check_divides("num_kv_heads", kv_heads, "num_heads", spec.num_heads)
    head = spec.width // spec.num_heads
    rotary = int(head * family.rotary_share)
    if family.rotary_share and (rotary < 2 or rotary % 2):
        raise InputError(
            f"heads of width {head} in family {spec.family}",
            expected=f"a multiple of {round(2 / family.rotary_share)}, for rotary positions",
            fix="change width or num_heads",
        )
    return Widths(
        head=head,
        rotary=rotary,
        key_value=kv_heads * head,
        feed_forward=spec.feed_forward_width or _feed_forward(spec.width, gated=family.gated),
        embedding=spec.embedding_width or spec.width,
    )


def _feed_forward(width: int, *, gated: bool) -> int:
    return -(-8 * width // (3 * GATED_MULTIPLE)) * GATED_MULTIPLE if gated else 4 * width


def _check_divides(small_name: str, small: int, large_name: str, large: int) -> None:
    if large % small:
        raise InputError(
            f"{large_name} {large} with {small_name} {small}",
            expected=f"a {large_name} that is a multiple of {small_name}",
            fix="change one of them",
        )


def _check_settings(spec: ModelSpec) -> None:
    defaults = {field.name: field.default for field in fields(ModelSpec)}
    for name, families in _FAMILIES_WITH.items():
        if spec.family not in families and getattr(spec, name) != defaults[name]:
            raise InputError(
                f"{name} {getattr(spec, name)} in family {spec.family}",
                expected=f"it in {' or '.join(families)} alone",
                fix="leave it out, or choose another family",
            )
