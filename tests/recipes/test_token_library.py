from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recipes.made_up import prose, table_of
from tokenizers import Tokenizer

from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes import token_library
from curricle.recipes.documents import write_documents
from curricle.recipes.specs.recipe import TokenizerSpec
from curricle.recipes.token_library import TokenLibrary, build_library
from curricle.recipes.tokenizing import build_tokenizer, encode

TEXTS = {f"{number:02}": prose(number, 30) for number in range(20)} | {"twin": prose(3, 30)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tokenizer]:
    """A library of `TEXTS`, and its tokenizer."""
    folder = tmp_path_factory.mktemp("library")
    write_documents(folder / "train.parquet", table_of(TEXTS))
    build_tokenizer(TokenizerSpec(vocabulary_size=300), folder / "train.parquet", folder)
    facts = build_library(folder / "train.parquet", folder, folder)
    tokenizer = load_tokenizer(folder)
    expected = sum(len(tokens) for tokens in encode(tokenizer, list(TEXTS.values())))
    assert facts == {"documents": 21, "tokens": expected}
    return folder, tokenizer


KNOWN = st.sampled_from(list(TEXTS.values()))


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(KNOWN | st.text(st.characters(exclude_categories=["Cs"])), max_size=12))
def test_tokens_are_those_of_the_tokenizer(texts: list[str], made: tuple[Path, Tokenizer]) -> None:
    found = list(TokenLibrary(*made).encode(texts))
    for tokens, expected in zip(found, encode(made[1], texts), strict=True):
        np.testing.assert_array_equal(tokens, expected)


def test_only_unknown_texts_are_tokenized(
    made: tuple[Path, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def spied(tokenizer: Tokenizer, texts: list[str]) -> object:
        asked.extend(texts)
        return encode(tokenizer, texts)

    monkeypatch.setattr(token_library, "encode", spied)
    list(TokenLibrary(*made).encode([*TEXTS.values(), "new", prose(1, 30) + "."]))
    assert asked == ["new", prose(1, 30) + "."]


def test_a_library_of_nothing_knows_nothing(tmp_path: Path, made: tuple[Path, Tokenizer]) -> None:
    write_documents(tmp_path / "train.parquet", table_of({}))
    assert build_library(tmp_path / "train.parquet", made[0], tmp_path)["documents"] == 0
    (tokens,) = TokenLibrary(tmp_path, made[1]).encode(["a text"])
    assert len(tokens)
