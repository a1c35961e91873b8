"""A model's shape as Hugging Face's `config.json` says it, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from curricle.core.families import FAMILIES, has_tied_head, widths_of
from curricle.core.jobs import ModelSpec

Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one family's configuration is spelt.

    `keys` names the setting of each field of a spec; `optional` gives the values of those that a
    file may leave out. `fixed` settings have one value in our family, which is also what their
    absence means. `dropout` lists the settings that our one dropout rate stands for.
    """

    model_type: str
    architecture: str
    keys: Mapping[str, str]
    optional: Mapping[str, Any]
    fixed: Mapping[str, Any]
    dropout: tuple[str, ...]


_COMMON = {
    "num_layers": "num_hidden_layers",
    "width": "hidden_size",
    "num_heads": "num_attention_heads",
    "vocabulary_size": "vocab_size",
    "sequence_length": "max_position_embeddings",
    "tied_head": "tie_word_embeddings",
}

FORMATS = {
    "gpt2": Format(
        model_type="gpt2",
        architecture="GPT2LMHeadModel",
        keys={
            "num_layers": "n_layer",
            "width": "n_embd",
            "num_heads": "n_head",
            "vocabulary_size": "vocab_size",
            "sequence_length": "n_positions",
            "tied_head": "tie_word_embeddings",
            "feed_forward_width": "n_inner",
            "norm_epsilon": "layer_norm_epsilon",
        },
        optional={"tie_word_embeddings": True, "n_inner": None, "layer_norm_epsilon": 1e-5},
        fixed={
            "activation_function": "gelu_new",
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
        },
        dropout=("embd_pdrop", "attn_pdrop", "resid_pdrop"),
    ),
    "pythia": Format(
        model_type="gpt_neox",
        architecture="GPTNeoXForCausalLM",
        keys={
            **_COMMON,
            "feed_forward_width": "intermediate_size",
            "norm_epsilon": "layer_norm_eps",
        },
        optional={"tie_word_embeddings": False, "layer_norm_eps": 1e-5},
        fixed={"hidden_act": "gelu", "use_parallel_residual": True, "attention_bias": True},
        dropout=("attention_dropout", "hidden_dropout"),
    ),
    "opt": Format(
        model_type="opt",
        architecture="OPTForCausalLM",
        keys={
            **_COMMON,
            "feed_forward_width": "ffn_dim",
            "embedding_width": "word_embed_proj_dim",
        },
        optional={"tie_word_embeddings": True, "word_embed_proj_dim": None},
        fixed={
            "activation_function": "relu",
            "enable_bias": True,
            "layer_norm_elementwise_affine": True,
            "_remove_final_layer_norm": False,
        },
        dropout=("dropout", "attention_dropout"),
    ),
    "llama": Format(
        model_type="llama",
        architecture="LlamaForCausalLM",
        keys={
            **_COMMON,
            "feed_forward_width": "intermediate_size",
            "num_kv_heads": "num_key_value_heads",
            "norm_epsilon": "rms_norm_eps",
        },
        optional={
            "tie_word_embeddings": False,
            "num_key_value_heads": None,
            "rms_norm_eps": 1e-6,
        },
        fixed={"hidden_act": "silu", "attention_bias": False, "mlp_bias": False},
        dropout=("attention_dropout",),
    ),
}


def family_of_config(config: Config) -> str | None:
    """The family whose model type the configuration names, if it is one of ours."""
    types = {form.model_type: family for family, form in FORMATS.items()}
    return types.get(str(config.get("model_type")))


def wrong_value(config: Config, family: str) -> str | None:
    """The first of the shape's settings that is missing or of another type, as `key value`."""
    form = FORMATS[family]
    for key in ("rope_parameters", "rope_scaling"):
        if not isinstance(config.get(key), dict | None):
            return f"{key} {config[key]!r}"
    found = {**form.optional, **config, **_rotary(config, family)}
    usual = {**form.optional, "rope_theta": 10_000.0}
    for key in (*form.keys.values(), "rope_theta"):
        if not _is_like(found.get(key), usual.get(key, 1)):
            return f"{key} {found.get(key)!r}"
    return None


def _is_like(value: Any, usual: Any) -> bool:
    """Whether `value` is of the type of `usual` and positive; None stands for None or a width."""
    if isinstance(usual, bool) or isinstance(value, bool):
        return isinstance(usual, bool) and isinstance(value, bool)
    if value is None:
        return usual is None
    kinds = int | float if isinstance(usual, float) else int
    return isinstance(value, kinds) and value > 0


def unknown_setting(config: Config, family: str) -> str | None:
    """The first setting with a value that our `family` doesn't have, as `key value`."""
    form, share = FORMATS[family], FAMILIES[family].rotary_share
    found = {**config, **_rotary(config, family)}
    fixed = {**form.fixed, "rope_type": "default", "partial_rotary_factor": share}
    if found.get("head_dim") is None:
        found.pop("head_dim", None)
    fixed["head_dim"] = found[form.keys["width"]] / found[form.keys["num_heads"]]
    for key, value in fixed.items():
        if found.get(key, value) != value:
            return f"{key} {found[key]}"
    return None


def spec_of(config: Config, family: str) -> ModelSpec:
    """The spec of a configuration of `family` without wrong values; dropout is left out."""
    form = FORMATS[family]
    found = {**form.optional, **config}
    spec = ModelSpec(family=family, **{field: found[key] for field, key in form.keys.items()})
    spec = replace(spec, norm_epsilon=float(spec.norm_epsilon))
    if FAMILIES[family].rotary_share:
        spec = replace(spec, rotary_base=float(_rotary(config, family)["rope_theta"]))
    if family == "opt":
        spec = replace(spec, post_norm=not config.get("do_layer_norm_before", True))
    return _without_defaults(spec)


def config_of(spec: ModelSpec) -> dict[str, Any]:
    """The configuration of `spec`, in names that old and new versions of transformers know."""
    form, widths = FORMATS[spec.family], widths_of(spec)
    complete = replace(
        spec,
        feed_forward_width=widths.feed_forward,
        num_kv_heads=widths.key_value // widths.head,
        embedding_width=widths.embedding,
        tied_head=has_tied_head(spec),
    )
    config = {
        "architectures": [form.architecture],
        "model_type": form.model_type,
        "dtype": "float32",
        **{key: getattr(complete, field) for field, key in form.keys.items()},
        **form.fixed,
        **dict.fromkeys(form.dropout, spec.dropout),
    }
    if spec.family == "opt":
        config["do_layer_norm_before"] = not spec.post_norm
    if spec.family == "pythia":
        share = FAMILIES[spec.family].rotary_share
        config |= {"rotary_emb_base": spec.rotary_base, "rotary_pct": share}
    if spec.family == "llama":
        config |= {"rope_theta": spec.rotary_base, "head_dim": widths.head}
    return config


def _rotary(config: Config, family: str) -> dict[str, Any]:
    """Rotary settings under their newer names; older files spread them over the configuration."""
    usual = {
        "rope_theta": config.get("rotary_emb_base", config.get("rope_theta", 10_000.0)),
        "partial_rotary_factor": config.get("rotary_pct", FAMILIES[family].rotary_share),
        "rope_type": "default",
    }
    given = {**(config.get("rope_parameters") or {}), **(config.get("rope_scaling") or {})}
    return {**usual, **({"rope_type": given["type"]} if "type" in given else {}), **given}


def _without_defaults(spec: ModelSpec) -> ModelSpec:
    """The same model with None wherever its family's rule gives the value."""
    names = ("feed_forward_width", "num_kv_heads", "embedding_width", "tied_head")
    for name in names:
        left_out: dict[str, Any] = {name: None}
        simpler = replace(spec, **left_out)
        if widths_of(simpler) == widths_of(spec) and has_tied_head(simpler) == has_tied_head(spec):
            spec = simpler
    return spec
