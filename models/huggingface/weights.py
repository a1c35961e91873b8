"""Hugging Face's names and layouts of our tensors.

Three layouts differ from ours: GPT-2 stores its matrices transposed; OPT and Llama store parts
apart that we stack along the rows; GPT-NeoX mixes queries, keys and values head by head.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from curricle.core.families import widths_of
from curricle.core.jobs import ModelSpec

# The part of a name that some published files leave out.
PREFIXES = {"gpt2": "transformer.", "pythia": "gpt_neox.", "opt": "model.", "llama": "model."}

_TOP = {
    "gpt2": {
        "tokens": "transformer.wte",
        "positions": "transformer.wpe",
        "final_norm": "transformer.ln_f",
        "head": "lm_head",
    },
    "pythia": {
        "tokens": "gpt_neox.embed_in",
        "final_norm": "gpt_neox.final_layer_norm",
        "head": "embed_out",
    },
    "opt": {
        "tokens": "model.decoder.embed_tokens",
        "positions": "model.decoder.embed_positions",
        "project_in": "model.decoder.project_in",
        "project_out": "model.decoder.project_out",
        "final_norm": "model.decoder.final_layer_norm",
        "head": "lm_head",
    },
    "llama": {"tokens": "model.embed_tokens", "final_norm": "model.norm", "head": "lm_head"},
}

_LAYERS = {
    "gpt2": "transformer.h",
    "pythia": "gpt_neox.layers",
    "opt": "model.decoder.layers",
    "llama": "model.layers",
}

_BLOCK: dict[str, dict[str, tuple[str, ...]]] = {
    "gpt2": {
        "attention_norm": ("ln_1",),
        "attention.qkv": ("attn.c_attn",),
        "attention.projection": ("attn.c_proj",),
        "feed_forward_norm": ("ln_2",),
        "feed_forward.expand": ("mlp.c_fc",),
        "feed_forward.projection": ("mlp.c_proj",),
    },
    "pythia": {
        "attention_norm": ("input_layernorm",),
        "attention.qkv": ("attention.query_key_value",),
        "attention.projection": ("attention.dense",),
        "feed_forward_norm": ("post_attention_layernorm",),
        "feed_forward.expand": ("mlp.dense_h_to_4h",),
        "feed_forward.projection": ("mlp.dense_4h_to_h",),
    },
    "opt": {
        "attention_norm": ("self_attn_layer_norm",),
        "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention.projection": ("self_attn.out_proj",),
        "feed_forward_norm": ("final_layer_norm",),
        "feed_forward.expand": ("fc1",),
        "feed_forward.projection": ("fc2",),
    },
    "llama": {
        "attention_norm": ("input_layernorm",),
        "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention.projection": ("self_attn.o_proj",),
        "feed_forward_norm": ("post_attention_layernorm",),
        "feed_forward.expand": ("mlp.gate_proj", "mlp.up_proj"),
        "feed_forward.projection": ("mlp.down_proj",),
    },
}

_BLOCK_NAME = re.compile(r"blocks\.(\d+)\.(.+)\.(weight|bias)")
# Masks and tables that older versions of transformers stored with the weights.
_BUFFER = re.compile(r"\.(attn|attention)\.(bias|masked_bias)$|\.rotary_emb\.inv_freq$")
_HEADS = ("lm_head.weight", "embed_out.weight")


@dataclass(frozen=True)
class Counterpart:
    """Where one of our tensors stands in a Hugging Face file.

    `names` has one entry, or one for each of the parts whose rows we stack, `rows` many each.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    is_transposed: bool = False
    heads_mixed: int = 0

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names of a single tensor: newer files call GPT-NeoX's head as all others do."""
        return _HEADS if self.names[0] in _HEADS else ()

    def to_theirs(self, tensor: Tensor) -> dict[str, Tensor]:
        """Our tensor under Hugging Face's names and in their layout."""
        if self.heads_mixed:
            tensor = _swap(tensor, 3, self.heads_mixed)
        if self.is_transposed:
            tensor = tensor.T
        parts = torch.split(tensor, list(self.rows)) if len(self.names) > 1 else (tensor,)
        return {name: part.contiguous() for name, part in zip(self.names, parts, strict=True)}

    def to_ours(self, tensors: Sequence[Tensor]) -> Tensor:
        """Our tensor out of those that `names` names."""
        tensor = torch.cat(list(tensors)) if len(tensors) > 1 else tensors[0]
        if self.is_transposed:
            tensor = tensor.T
        if self.heads_mixed:
            tensor = _swap(tensor, self.heads_mixed, 3)
        return tensor.contiguous()


def counterpart(spec: ModelSpec, name: str) -> Counterpart:
    """The counterpart of the tensor `name` of a decoder of this spec."""
    family, widths = spec.family, widths_of(spec)
    match = _BLOCK_NAME.fullmatch(name)
    if match is None:
        module, _, part = name.rpartition(".")
        return Counterpart((f"{_TOP[family][module]}.{part}",), ())
    layer, module, part = match.groups()
    modules = _BLOCK[family][module]
    is_qkv = module == "attention.qkv"
    query_key_value = (spec.width, widths.key_value, widths.key_value)
    return Counterpart(
        tuple(f"{_LAYERS[family]}.{layer}.{one}.{part}" for one in modules),
        query_key_value if is_qkv else (widths.feed_forward,) * len(modules),
        is_transposed=family == "gpt2" and part == "weight" and not module.endswith("norm"),
        heads_mixed=spec.num_heads if family == "pythia" and is_qkv else 0,
    )


def is_superfluous(name: str) -> bool:
    """Whether a file may hold `name` without our needing it: a buffer, or a tied head."""
    return name in _HEADS or _BUFFER.search(name) is not None


def _swap(tensor: Tensor, outer: int, inner: int) -> Tensor:
    """Rows ordered by (outer, inner, rest) to rows ordered by (inner, outer, rest)."""
    grouped = tensor.reshape(outer, inner, -1, *tensor.shape[1:])
    return grouped.transpose(0, 1).flatten(0, 2)
