import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.model_zoo import (
    LENGTH,
    SPECS,
    TEXT,
    VOCABULARY,
    lively_model,
    save_checkpoint,
    save_tokenizer,
    token_batches,
    tokenizer,
)
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
)

from curricle.core.errors import InputError, IntegrityError
from curricle.models.decoder import Decoder, count_parameters
from curricle.models.huggingface import export_model, import_model, load_hugging_face

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": LENGTH,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
# Models as transformers itself makes them, with settings off their defaults.
THEIRS = {
    "gpt2": GPT2Config(**SIZES, n_inner=64, layer_norm_epsilon=1e-3),
    "gpt_neox": GPTNeoXConfig(
        **{**SIZES, "num_attention_heads": 2},
        intermediate_size=100,
        rope_parameters={"rope_theta": 500.0, "partial_rotary_factor": 0.25},
    ),
    "opt": OPTConfig(**SIZES, ffn_dim=64),
    "opt-350m": OPTConfig(**SIZES, ffn_dim=64, word_embed_proj_dim=24, do_layer_norm_before=False),
    "llama": LlamaConfig(**SIZES, intermediate_size=100, rms_norm_eps=1e-4),
    "llama-grouped": LlamaConfig(
        **SIZES, intermediate_size=64, num_key_value_heads=1, tie_word_embeddings=True
    ),
}


def export(model: Decoder, folder: Path) -> Path:
    checkpoint = save_checkpoint(folder / "checkpoint", model)
    output = folder / "exported"
    export_model(checkpoint, save_tokenizer(folder / "tokenizer"), output)
    return output


def made_by_transformers(config: Any) -> Any:
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def assert_same_logits(ours: Any, theirs: Any) -> None:
    for windows_BT1 in token_batches().values():
        expected = theirs(input_ids=windows_BT1[:, :-1]).logits
        found = ours.logits(ours.hidden(windows_BT1[:, :-1]))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        losses = F.cross_entropy(
            expected.flatten(0, 1), windows_BT1[:, 1:].flatten(), reduction="none"
        )
        torch.testing.assert_close(
            ours.token_losses(windows_BT1).flatten(), losses, atol=1e-4, rtol=0
        )


@torch.no_grad()
def greedy(model: Decoder, tokens_1T: Tensor, count: int) -> Tensor:
    for _ in range(count):
        next_1V = model.logits(model.hidden(tokens_1T)[:, -1])
        tokens_1T = torch.cat([tokens_1T, next_1V.argmax(-1, keepdim=True)], dim=1)
    return tokens_1T


def assert_same_generation(model: Decoder, theirs: Any) -> None:
    start = token_batches()["real"][:1, :8]
    generated = theirs.generate(
        start, attention_mask=torch.ones_like(start), max_new_tokens=24, eos_token_id=None
    )
    assert torch.equal(generated, greedy(model, start, 24))


@pytest.mark.parametrize("name", SPECS)
def test_an_exported_model_is_the_same_in_transformers(name: str, tmp_path: Path) -> None:
    model = lively_model(SPECS[name])
    output = export(model, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(output).eval()
    assert theirs.num_parameters() == count_parameters(model)
    assert_same_logits(model, theirs)
    assert_same_generation(model, theirs)


@pytest.mark.parametrize("name", SPECS)
def test_an_export_comes_back_unchanged(name: str, tmp_path: Path) -> None:
    model = lively_model(SPECS[name])
    back = import_model(export(model, tmp_path))
    assert back.spec == model.spec
    for key, tensor in model.state_dict().items():
        assert torch.equal(back.state_dict()[key], tensor)


def test_an_exported_tokenizer_is_the_same_in_transformers(tmp_path: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(export(lively_model(SPECS["gpt2"]), tmp_path))
    assert theirs(TEXT)["input_ids"] == tokenizer().encode(TEXT).ids
    assert theirs.decode(theirs(TEXT)["input_ids"]) == TEXT
    assert theirs.eos_token_id == 0
    assert theirs.model_max_length == LENGTH


@pytest.mark.parametrize("name", THEIRS)
def test_a_model_of_transformers_is_the_same_here(name: str, tmp_path: Path) -> None:
    theirs = made_by_transformers(THEIRS[name])
    theirs.save_pretrained(tmp_path)
    model = import_model(tmp_path)
    assert count_parameters(model) == theirs.num_parameters()
    assert_same_logits(model, theirs)
    assert_same_generation(model, theirs)


def test_shards_are_read_together(tmp_path: Path) -> None:
    theirs = made_by_transformers(THEIRS["llama"])
    theirs.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same_logits(import_model(tmp_path), theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_fp32(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = made_by_transformers(THEIRS["gpt2"]).to(dtype)
    theirs.save_pretrained(tmp_path)
    model = import_model(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert_same_logits(model, theirs.float())


def rewrite(folder: Path, change: Any) -> None:
    """Rename or drop tensors of the folder's safetensors file."""
    tensors = load_file(folder / "model.safetensors")
    renamed = {change(key): tensor for key, tensor in tensors.items()}
    renamed.pop(None, None)
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})


def test_names_of_older_files_are_known(tmp_path: Path) -> None:
    theirs = made_by_transformers(THEIRS["gpt2"])
    theirs.save_pretrained(tmp_path)
    rewrite(tmp_path, lambda key: key.removeprefix("transformer."))
    tensors = load_file(tmp_path / "model.safetensors")
    buffer = {"h.0.attn.bias": torch.ones(1, 1, LENGTH, LENGTH), "lm_head.weight": torch.ones(2)}
    save_file({**tensors, **buffer}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert_same_logits(import_model(tmp_path), theirs)


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_rotary_settings_of_older_files_are_known(tmp_path: Path) -> None:
    theirs = made_by_transformers(THEIRS["gpt_neox"])
    theirs.save_pretrained(tmp_path)
    edit_config(tmp_path, rope_parameters=None, rotary_emb_base=500, rotary_pct=0.25)
    assert_same_logits(import_model(tmp_path), theirs)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gpt2", {"model_type": "bert"}, r"config\.json: model_type 'bert', expected a model of"),
        ("gpt2", {"activation_function": "relu"}, r"activation_function relu"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, r"scale_attn_by_inverse_layer_idx"),
        ("gpt_neox", {"use_parallel_residual": False}, r"use_parallel_residual False"),
        ("gpt_neox", {"rope_parameters": {"partial_rotary_factor": 1.0}}, r"partial_rotary_factor"),
        ("opt", {"enable_bias": False}, r"enable_bias False"),
        ("llama", {"rope_scaling": {"rope_type": "llama3"}}, r"rope_type llama3"),
        ("llama", {"head_dim": 24}, r"head_dim 24"),
        ("llama", {"attention_bias": True}, r"attention_bias True"),
    ],
)
def test_a_setting_that_no_family_has_is_refused(
    name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made_by_transformers(THEIRS[name]).save_pretrained(tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        import_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 5}, r"config\.json: width 48 with num_heads 5"),
        ({"n_layer": "two"}, r"config\.json: n_layer 'two' is no value"),
        ({"n_layer": 3}, r"no tensor transformer\.h\.2\.ln_1\.weight"),
        ({"n_layer": 1}, r"tensor transformer\.h\.1\..* has no place"),
        ({"vocab_size": 7}, r"weights and config\.json disagree: .*tokens\.weight"),
        ({"n_embd": None}, r"config\.json: n_embd None"),
        ({"n_head": 0}, r"config\.json: n_head 0"),
        ({"n_inner": 1.5}, r"config\.json: n_inner 1\.5"),
        ({"tie_word_embeddings": 1}, r"config\.json: tie_word_embeddings 1"),
        ({"rope_scaling": "linear"}, r"config\.json: rope_scaling 'linear'"),
    ],
)
def test_a_config_that_contradicts_the_weights_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made_by_transformers(THEIRS["gpt2"]).save_pretrained(tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(IntegrityError, match=message) as caught:
        import_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    theirs = made_by_transformers(THEIRS["gpt2"])
    theirs.config.save_pretrained(tmp_path)
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin: a pickle, which can run code"):
        load_hugging_face(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors, expected weights as safetensors"):
        load_hugging_face(tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    made_by_transformers(THEIRS["gpt2"]).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(IntegrityError, match=r"model\.safetensors: "):
        import_model(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b"}}')
    with pytest.raises(IntegrityError, match=r"index\.json: its weight_map names no files of"):
        import_model(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(IntegrityError, match=r"config\.json: not a JSON object"):
        import_model(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        GPTJConfig(
            vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=32, n_layer=1, n_head=2, rotary_dim=8
        ),
        BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=1, n_head=2),
        LlamaConfig(
            **SIZES,
            intermediate_size=64,
            rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
        ),
    ],
    ids=["a head with a bias", "no positions", "scaled rotation"],
)
def test_other_models_run_in_transformers_code(config: Any, tmp_path: Path) -> None:
    theirs = made_by_transformers(config)
    theirs.save_pretrained(tmp_path)
    model = load_hugging_face(tmp_path)
    assert not isinstance(model, Decoder)
    assert model.vocabulary_size == VOCABULARY
    assert model.forward_flops_per_token > 0
    assert_same_logits(model, theirs)
    windows = token_batches()["random"]
    torch.testing.assert_close(model(windows), model.token_losses(windows).mean())


def test_damage_to_a_model_in_transformers_code_is_named(tmp_path: Path) -> None:
    made_by_transformers(
        BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=1, n_head=2)
    ).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    lost = next(name for name in tensors if name.endswith("query_key_value.weight"))
    save_file({name: tensors[name] for name in tensors if name != lost}, weights, {"format": "pt"})
    with pytest.raises(IntegrityError, match=r"no tensor .*query_key_value\.weight in its safet"):
        load_hugging_face(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(IntegrityError, match=r"model\.safetensors: "):
        load_hugging_face(tmp_path)


def test_a_head_that_caps_its_logits_is_refused(tmp_path: Path) -> None:
    config = Gemma2Config(
        **SIZES,
        intermediate_size=64,
        num_key_value_heads=2,
        head_dim=16,
        final_logit_softcapping=0.5,
    )
    made_by_transformers(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no linear map of the last hidden states"):
        load_hugging_face(tmp_path)


def test_code_of_a_models_own_is_never_run(tmp_path: Path) -> None:
    made_by_transformers(THEIRS["gpt2"]).save_pretrained(tmp_path)
    (tmp_path / "modeling_own.py").write_text("raise SystemExit('run')\n")
    edit_config(tmp_path, model_type="own", auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    with pytest.raises(IntegrityError, match="transformers can't load it"):
        load_hugging_face(tmp_path)


def test_an_output_with_something_in_it_is_refused(tmp_path: Path) -> None:
    model = lively_model(SPECS["gpt2"])
    output = export(model, tmp_path)
    with pytest.raises(InputError, match="exported: there already, and not empty"):
        export_model(tmp_path / "checkpoint", tmp_path / "tokenizer", output)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"with a vocabulary of 320 for a model of 300"):
        export(lively_model(replace(SPECS["gpt2"], vocabulary_size=300)), tmp_path)
    assert not (tmp_path / "exported").exists()
