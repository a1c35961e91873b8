"""Perplexity of documents against Hugging Face's GPT-2 token by token, and bytes by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.accelerators import ACCELERATORS
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import GPT2Config, GPT2LMHeadModel

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import PerplexitySpec
from curricle.core.token_dataset import DatasetWriter, TokenizedDocument
from curricle.core.tokenizer_file import TOKENIZER
from curricle.models import unfinished
from curricle.models.document_summary import summarise
from curricle.models.documents import Document, Text, dataset_documents, text_documents
from curricle.models.interruption import InterruptedJobError
from curricle.models.language_model import LanguageModel
from curricle.models.loading import load_language_model
from curricle.models.perplexity import document_perplexity, perplexity
from curricle.models.placement import Placement
from curricle.models.text import token_byte_lengths
from curricle.recipes.tokenizing import train

VOCABULARY, CONTEXT, END = 320, 12, 0
LENGTHS = (1, 5, 11, 12, 13, 24, 25, 40, 0, 7)


@pytest.fixture(scope="module")
def theirs() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=16, n_layer=2, n_head=2, bos_token_id=0
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # far from uniform predictions
    return model


@pytest.fixture(scope="module")
def folder(theirs: GPT2LMHeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("gpt2")
    theirs.save_pretrained(path)
    return path


@pytest.fixture
def model(folder: Path) -> LanguageModel:
    return load_language_model(folder)


@pytest.fixture
def documents() -> list[Document]:
    draw = np.random.default_rng(0)
    return [
        Document("ab"[index % 2], f"document {index}", draw.integers(1, VOCABULARY, length), length)
        for index, length in enumerate(LENGTHS)
    ]


@torch.no_grad()
def nats_by_hugging_face(
    theirs: GPT2LMHeadModel, tokens: list[int], stride: int = CONTEXT
) -> float:
    """Predict one token after the other, each from the window that the stride's rule gives it."""
    sequence = [END, *tokens]
    total = 0.0
    for place in range(1, len(sequence)):
        later_windows = max(0, -(-(place - CONTEXT) // stride))
        end = min(CONTEXT + later_windows * stride, len(tokens))
        start = max(0, end - CONTEXT)
        logits = theirs(torch.tensor([sequence[start:end]])).logits[0, place - 1 - start]
        total -= logits.double().log_softmax(-1)[sequence[place]].item()
    return total


@pytest.mark.parametrize("stride", [1, 5, CONTEXT, None])
def test_nats_equal_hugging_faces(
    stride: int | None, model: LanguageModel, theirs: GPT2LMHeadModel, documents: list[Document]
) -> None:
    rows = document_perplexity(
        model, documents, end_of_text=END, stride=stride, tokens_per_batch=40
    )
    expected = [
        nats_by_hugging_face(theirs, item.tokens.tolist(), stride or CONTEXT) for item in documents
    ]
    per_token = np.abs(np.array(expected) - rows["nats"].to_numpy()) / np.maximum(LENGTHS, 1)
    assert per_token.max() < 1e-5
    assert rows["tokens"].to_pylist() == list(LENGTHS)


def test_a_document_neither_sees_nor_moves_another(
    model: LanguageModel, documents: list[Document]
) -> None:
    together = document_perplexity(model, documents, end_of_text=END)["nats"].to_numpy()
    for item, expected in zip(documents, together, strict=True):
        if len(item.tokens):
            alone = document_perplexity(model, [item], end_of_text=END)["nats"][0].as_py()
            assert alone == pytest.approx(expected, rel=1e-6)


def test_the_summary_is_what_its_definitions_say() -> None:
    rows = pa.table(
        {
            "domain": ["x", "y", "x", "x"],
            "document": list("1234"),
            "tokens": [2, 5, 3, 0],
            "bytes": [4, 9, 8, 0],
            "nats": [3.0, 10.0, 4.5, 0.0],
        }
    )
    found = summarise(rows)
    x, y = found["domains"]["x"], found["domains"]["y"]
    assert x["loss"] == pytest.approx(7.5 / 5)
    assert x["perplexity"] == pytest.approx(math.exp(1.5))
    assert x["bits_per_byte"] == pytest.approx(7.5 / math.log(2) / 12)
    assert (x["documents"], x["tokens"], x["bytes"]) == (2, 5, 12)
    assert found["overall"]["loss"] == pytest.approx(17.5 / 10)
    assert found["average"]["loss"] == pytest.approx((x["loss"] + y["loss"]) / 2)
    assert found["average"]["perplexity"] == pytest.approx(
        math.sqrt(x["perplexity"] * y["perplexity"])
    )
    assert found["empty"] == 1
    assert x["loss_low"] is None  # two documents are too few


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Byte-level, so that most of the characters below are several tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat, the hat", "naïve naïve"], trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def test_bits_per_byte_of_text_with_multi_byte_characters(
    model: LanguageModel, theirs: GPT2LMHeadModel, tokenizer: Tokenizer
) -> None:
    text = "naïve €5 🐎"
    # By hand: n a ï(2) v e, blank, €(3) 5, blank, 🐎(4).
    assert 1 + 1 + 2 + 1 + 1 + 1 + 3 + 1 + 1 + 4 == 16
    (document,) = text_documents([Text("x", "1", text)], tokenizer)
    assert document.bytes == 16
    nats = nats_by_hugging_face(theirs, tokenizer.encode(text).ids)
    found = summarise(document_perplexity(model, [document], end_of_text=END))
    assert found["overall"]["bits_per_byte"] == pytest.approx(nats / math.log(2) / 16, abs=1e-5)


@pytest.mark.parametrize("text", ["naïve €5 🐎", "the cat", "<|endoftext|>"])
def test_the_tokens_of_a_text_stand_for_all_its_bytes(text: str, tokenizer: Tokenizer) -> None:
    lengths = token_byte_lengths(tokenizer)
    assert lengths[tokenizer.encode(text).ids].sum() == len(text.encode())


def test_added_tokens_count_their_own_bytes(tokenizer: Tokenizer) -> None:
    wider = Tokenizer.from_str(tokenizer.to_str())
    wider.add_tokens(["🐎🐎"])
    assert token_byte_lengths(wider)[wider.token_to_id("🐎🐎")] == 8


def test_a_vocabulary_without_bytes_is_refused() -> None:
    with pytest.raises(InputError, match="isn't byte-level"):
        token_byte_lengths(Tokenizer(BPE(vocab={"▁the": 0}, merges=[])))


def test_a_budget_cuts_documents_where_it_ends(tokenizer: Tokenizer) -> None:
    text = "€" * 40
    whole = tokenizer.encode(text).ids
    assert len(whole) == 120
    texts = [Text("x", str(number), text) for number in range(40)]
    documents = text_documents(texts, tokenizer, tokens_per_domain=160)
    # A sixteenth of 160 each: three characters and a byte of the fourth, which is counted whole.
    assert [len(item.tokens) for item in documents] == [10] * 16
    assert {item.bytes for item in documents} == {12}


def write_dataset(folder: Path, texts: dict[str, list[str]], tokenizer: Tokenizer) -> None:
    folder.mkdir()
    writer = DatasetWriter(folder, vocabulary_size=VOCABULARY, end_of_text=END)
    for domain, items in texts.items():
        documents = [
            TokenizedDocument(str(index), "made up", len(text.encode()), tokenizer.encode(text).ids)
            for index, text in enumerate(items)
        ]
        writer.write_domain(domain, documents)
    writer.finish()


@pytest.fixture
def inputs(tmp_path: Path, folder: Path, tokenizer: Tokenizer) -> dict[str, Path]:
    texts = {
        "cats": [f"the cat {'€' * number} and the hat" for number in range(12)],
        "oddities": [f"naïve {chr(0x1F40E + number)} {number}" * 3 for number in range(12)],
    }
    write_dataset(tmp_path / "validation", texts, tokenizer)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / TOKENIZER).write_text(tokenizer.to_str())
    (tmp_path / "output").mkdir()
    names = ("validation", "tokenizer", "output")
    return {"checkpoint": folder, **{name: tmp_path / name for name in names}}


def run(inputs: dict[str, Path], limit: int = 10_000, **placement: object) -> dict[str, object]:
    spec = PerplexitySpec(tokens_per_domain=limit)
    return perplexity(spec, inputs, inputs["output"], Placement(**placement))  # type: ignore[arg-type]


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_the_job_reads_a_dataset_as_it_was_written(
    accelerator: str, inputs: dict[str, Path], tokenizer: Tokenizer, theirs: GPT2LMHeadModel
) -> None:
    result = run(inputs, accelerator=accelerator)
    rows = pq.read_table(inputs["output"] / "perplexity.parquet").to_pylist()
    assert rows[1] == {
        "domain": "cats",
        "document": "1",
        "tokens": len(tokenizer.encode("the cat € and the hat").ids),
        "bytes": 23,
        "nats": pytest.approx(
            nats_by_hugging_face(theirs, tokenizer.encode("the cat € and the hat").ids), rel=1e-5
        ),
    }
    entry = result["domains"]["oddities"]  # type: ignore[index]
    assert entry["bits_per_byte_low"] < entry["bits_per_byte"] < entry["bits_per_byte_high"]
    assert result == json.loads((inputs["output"] / "perplexity.json").read_text()) | {
        "flops": result["flops"]
    }


def test_cut_documents_of_a_dataset_count_the_bytes_of_their_tokens(
    inputs: dict[str, Path], tokenizer: Tokenizer
) -> None:
    documents = dataset_documents(inputs["validation"], tokenizer, tokens_per_domain=64)
    assert {len(item.tokens) for item in documents} == {4}
    for item in documents:
        assert item.bytes == len(b"".join(token_bytes(tokenizer, item.tokens.tolist())))


def test_cut_documents_of_another_tokenizer_are_refused(inputs: dict[str, Path]) -> None:
    few = train(["ab"], 258)
    with pytest.raises(InputError, match=r"with token \d+ for a tokenizer of 258"):
        dataset_documents(inputs["validation"], few, tokens_per_domain=64)


def token_bytes(tokenizer: Tokenizer, ids: list[int]) -> list[bytes]:
    """GPT-2's published table, written anew: printable bytes stand for themselves."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    table = {chr(byte): byte for byte in kept} | {chr(256 + i): b for i, b in enumerate(others)}
    return [bytes(table[sign] for sign in str(tokenizer.id_to_token(index))) for index in ids]


def test_an_interrupted_job_goes_on_to_the_same_numbers(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curricle.models.perplexity.TOKENS_PER_BATCH", 24)
    whole = run(inputs)
    looks: list[int] = []

    def stop_at_the_fourth_look() -> bool:
        looks.append(len(looks) + 1)
        return looks[-1] == 4

    monkeypatch.setattr(unfinished, "stop_requested", stop_at_the_fourth_look)
    place = str(tmp_path / "unfinished")
    with pytest.raises(InterruptedJobError, match="after 4 of"):
        run(inputs, unfinished=place)
    assert run(inputs, unfinished=place) == whole
    in_two_parts = len(looks)
    run(inputs)
    # One look a batch but the last; the second part didn't begin anew.
    assert len(looks) - in_two_parts == in_two_parts


def test_bad_documents_are_refused(model: LanguageModel, documents: list[Document]) -> None:
    empty = Document("void", "nothing", np.empty(0, np.int64), 0)
    foreign = Document("x", "foreign", np.array([VOCABULARY]), 3)
    for wrong, message in (
        ([], "no held-out documents"),
        ([*documents, empty], "no token in domain 'void'"),
        ([foreign], "a vocabulary of 321"),
    ):
        with pytest.raises(InputError, match=message):
            document_perplexity(model, wrong, end_of_text=END)
    for stride in (0, CONTEXT + 1):
        with pytest.raises(InputError, match="1 to 12"):
            document_perplexity(model, documents, end_of_text=END, stride=stride)


def test_losses_that_are_no_numbers_name_a_document(
    model: LanguageModel, documents: list[Document]
) -> None:
    with torch.no_grad():
        model.head_weight[documents[3].tokens[5]] = math.nan
    with pytest.raises(JobError, match=r"the loss is nan on document 'document \d' of domain"):
        document_perplexity(model, documents, end_of_text=END)
