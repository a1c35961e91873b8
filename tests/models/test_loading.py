import json
from pathlib import Path

import pytest
import torch
from tests.models.model_zoo import (
    SPECS,
    TEXT,
    lively_model,
    save_checkpoint,
    save_tokenizer,
    token_batches,
    tokenizer,
)
from transformers import BloomConfig, BloomForCausalLM

from curricle.core.errors import InputError, IntegrityError
from curricle.models.huggingface import export_model
from curricle.models.loading import load_language_model, load_model_tokenizer


def test_ours_exported_and_foreign_models_load_alike(tmp_path: Path) -> None:
    model = lively_model(SPECS["llama-grouped"])
    checkpoint = save_checkpoint(tmp_path / "ours", model)
    export_model(checkpoint, save_tokenizer(tmp_path / "tokenizer"), tmp_path / "exported")
    foreign = BloomConfig(vocab_size=320, hidden_size=32, n_layer=1, n_head=2)
    BloomForCausalLM(foreign).save_pretrained(tmp_path / "foreign")
    windows_BT1 = token_batches()["real"]
    for name in ("ours", "exported", "foreign"):
        loaded = load_language_model(tmp_path / name)
        assert not loaded.training
        assert loaded.vocabulary_size == 320
        assert loaded.sequence_length >= 48
        assert loaded.token_losses(windows_BT1).shape == (4, 48)
        if name != "foreign":
            assert torch.equal(loaded.token_losses(windows_BT1), model.token_losses(windows_BT1))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither model\.json nor config\.json"):
        load_language_model(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [("model.json", "{"), ("model.json", '{"family": "gpt2"}'), ("model.safetensors", "short")],
)
def test_a_damaged_checkpoint_is_named(file: str, content: str, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "ours", lively_model(SPECS["gpt2"]))
    (folder / file).write_text(content)
    with pytest.raises(IntegrityError, match=rf"ours: .*{file}") as caught:
        load_language_model(folder)
    assert "\n" not in str(caught.value)


def test_tokenizers_load_from_either_form(tmp_path: Path) -> None:
    expected = tokenizer().encode(TEXT).ids
    stored = load_model_tokenizer(save_tokenizer(tmp_path / "stored"))
    assert stored.encode(TEXT).ids == expected
    (tmp_path / "parts").mkdir()
    model = json.loads(tokenizer().to_str())["model"]
    (tmp_path / "parts" / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (tmp_path / "parts" / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (tmp_path / "parts" / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "GPT2Tokenizer"}'
    )
    converted = load_model_tokenizer(tmp_path / "parts")
    assert converted.encode(TEXT).ids == expected
    spelt_out = "a <|endoftext|> b"
    assert converted.decode(converted.encode(spelt_out).ids) == spelt_out


def test_missing_and_damaged_tokenizers_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json and no vocabulary"):
        load_model_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"its tokenizer can't be loaded"):
        load_model_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        load_model_tokenizer(tmp_path)
