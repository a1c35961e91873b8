import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.made_up import prose, table_of
from tokenizers import Tokenizer

from curricle.core.errors import IntegrityError
from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.documents import write_documents
from curricle.recipes.specs.recipe import TokenizerSpec
from curricle.recipes.tokenizing import (
    END_OF_TEXT,
    END_OF_TEXT_ID,
    build_tokenizer,
    decode,
    encode,
    train,
)

TEXTS = {str(seed): prose(seed) for seed in range(20)}


@functools.cache
def _tokenizer() -> Tokenizer:
    return train(TEXTS.values(), 400)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    write_documents(tmp_path / "train.parquet", table_of(TEXTS))
    return tmp_path / "train.parquet"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    (tokens,) = encode(_tokenizer(), [text])
    assert decode(_tokenizer(), tokens) == text


def test_end_of_text_never_comes_from_text(documents: Path, tmp_path: Path) -> None:
    build_tokenizer(TokenizerSpec(vocabulary_size=300), documents, tmp_path)
    text = f"a{END_OF_TEXT}b {END_OF_TEXT}{END_OF_TEXT}"
    for tokenizer in (_tokenizer(), load_tokenizer(tmp_path)):
        (tokens,) = encode(tokenizer, [text])
        assert END_OF_TEXT_ID not in tokens
        assert decode(tokenizer, tokens) == text
        assert decode(tokenizer, [END_OF_TEXT_ID]) == END_OF_TEXT
    assert _tokenizer().token_to_id(END_OF_TEXT) == END_OF_TEXT_ID


def test_a_corpus_full_of_the_special_token_doesnt_teach_it() -> None:
    tokenizer = train([END_OF_TEXT * 50] * 50, 400)
    (tokens,) = encode(tokenizer, [END_OF_TEXT])
    assert END_OF_TEXT_ID not in tokens


def test_texts_encoded_in_batches_are_encoded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = list(TEXTS.values())
    whole = [tokens.tolist() for tokens in encode(_tokenizer(), texts)]
    monkeypatch.setattr("curricle.recipes.tokenizing.BATCH_DOCUMENTS", 3)
    assert [tokens.tolist() for tokens in encode(_tokenizer(), texts)] == whole
    assert whole[4] == next(iter(encode(_tokenizer(), [texts[4]]))).tolist()


@given(
    st.text(st.sampled_from("ab1_.'s \n\t\r\x1c\u00a0\u2028é漢"), max_size=80), st.integers(1, 20)
)
def test_long_texts_are_encoded_in_pieces_like_whole_ones(text: str, size: int) -> None:
    whole = _tokenizer().encode(text, add_special_tokens=False).ids
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curricle.recipes.tokenizing.BATCH_CHARACTERS", size)
        one, other, last = encode(_tokenizer(), [text, "", text])
    assert one.tolist() == last.tolist() == whole
    assert other.tolist() == []


@pytest.mark.parametrize("words", ["the carriage horse trotted. ", "thecarriagehorsetrotted_____"])
def test_a_huge_text_takes_the_memory_of_a_small_one(words: str) -> None:
    script = (
        "import pathlib, re\n"
        "from curricle.recipes.tokenizing import decode, encode, train\n"
        f"text = {words!r} * (1 << 20)\n"
        "tokenizer = train([text], 300)\n"
        "(tokens,) = encode(tokenizer, [text])\n"
        "assert len(tokens) > 1 << 20\n"
        "assert text.endswith(decode(tokenizer, tokens[-5000:]))\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', status)[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    # The text has 28 MiB; encoded at once it would take over 3 GiB.
    assert int(done.stdout) < 1 << 20


def test_the_same_documents_give_the_same_file_in_another_process(
    documents: Path, tmp_path: Path
) -> None:
    facts = build_tokenizer(TokenizerSpec(vocabulary_size=350), documents, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    script = (
        "import sys, pathlib\n"
        "from curricle.recipes.specs.recipe import TokenizerSpec\n"
        "from curricle.recipes.tokenizing import build_tokenizer\n"
        "spec, paths = TokenizerSpec(vocabulary_size=350), map(pathlib.Path, sys.argv[1:])\n"
        "build_tokenizer(spec, *paths)"
    )
    subprocess.run([sys.executable, "-c", script, str(documents), str(other)], check=True)
    assert (other / "tokenizer.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()
    assert facts["vocabulary_size"] == facts["requested_vocabulary_size"] == 350
    assert not facts["is_smaller_than_requested"]
    assert facts["documents"] == len(TEXTS)


def test_too_little_text_gives_a_smaller_vocabulary_and_says_so(tmp_path: Path) -> None:
    write_documents(tmp_path / "train.parquet", table_of({"a": "ab ab ab"}))
    facts = build_tokenizer(TokenizerSpec(), tmp_path / "train.parquet", tmp_path)
    # All bytes, end-of-text, and the merges "ab" and " ab".
    assert facts["vocabulary_size"] == 256 + 1 + 2
    assert facts["requested_vocabulary_size"] == 4096
    assert facts["is_smaller_than_requested"]


@pytest.mark.parametrize("content", [None, "", "{}", json.dumps({"model": {}})])
def test_an_unreadable_tokenizer_is_an_integrity_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
