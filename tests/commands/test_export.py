from collections.abc import Callable
from pathlib import Path

import numpy as np
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
from transformers import AutoModelForCausalLM, AutoTokenizer

from curricle.cli import main
from curricle.core.store import Artifact, Request, Store
from curricle.core.token_dataset import DatasetWriter, TokenizedDocument

Export = Callable[..., tuple[int, str, str]]


@pytest.fixture
def export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Export:
    """The command in this process, as torch takes seconds to import; status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["export", *arguments])
        assert isinstance(caught.value.code, int)
        return caught.value.code, *capsys.readouterr()

    return run


def fill(folder: Path, name: str) -> None:
    """What the step that makes the artifact would write."""
    made = folder / "made"
    if name == "tokenizer":
        save_tokenizer(made)
    else:
        save_checkpoint(made, lively_model(SPECS["pythia"]))
    for path in made.iterdir():
        path.rename(folder / path.name)
    made.rmdir()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Artifact:
    """A checkpoint whose tokenizer is found through its order and dataset."""
    store = Store(str(tmp_path / "store"))
    words = store.produce(Request("tokenizer", "t", {}), lambda folder: fill(folder, "tokenizer"))
    dataset = store.produce(Request("dataset", "d", {}, {"tokenizer": words}), lambda _: None)
    order = store.produce(Request("order", "o", {}, {"dataset": dataset}), lambda _: None)
    inputs = {"order": order, "dataset": dataset}
    return store.produce(
        Request("checkpoint", "c", {}, inputs), lambda folder: fill(folder, "checkpoint")
    )


def test_a_stored_checkpoint_is_exported_with_its_tokenizer(
    export: Export, checkpoint: Artifact, tmp_path: Path
) -> None:
    command = (f"store/{checkpoint.key}", "--format", "huggingface", "--output", "out")
    assert export(*command) == (0, "out\n", "")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    words = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert words(TEXT)["input_ids"] == tokenizer().encode(TEXT).ids
    tokens, ours = token_batches()["real"][:, :-1], lively_model(SPECS["pythia"])
    with torch.no_grad():
        expected = ours.logits(ours.hidden(tokens))
        torch.testing.assert_close(theirs(tokens).logits, expected, atol=1e-4, rtol=0)
    status, _, errors = export(*command)
    assert status == 2
    assert "out: there already, and not empty" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--output", "out"], "nowhere: not there, expected STORE/checkpoint/NAME"),
        (["store/checkpoint/c/0", "--output", "out"], "not there"),
        (["CHECKPOINT", "--output", "out", "--tokenizer", "nowhere"], "nowhere/tokenizer.json"),
        (["CHECKPOINT", "--output", "/proc/out"], "/proc/out: "),
        (["CHECKPOINT"], "Missing option '--output'"),
        (["CHECKPOINT", "--output", "out", "--format", "onnx"], "'onnx' is not"),
    ],
)
def test_wrong_input_is_one_line(
    export: Export,
    checkpoint: Artifact,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    stored = f"store/{checkpoint.key}"
    status, _, errors = export(*(one.replace("CHECKPOINT", stored) for one in arguments))
    assert status in (1, 2)
    assert message in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_stored_dataset_is_exported(export: Export, tmp_path: Path) -> None:
    def fill_dataset(folder: Path) -> None:
        writer = DatasetWriter(folder, vocabulary_size=10, end_of_text=0)
        writer.write_domain("web", [TokenizedDocument("a", "s", 1, [3, 1, 4])])
        writer.finish(tokenizer="digest", steps=[])

    store = Store(str(tmp_path / "store"))
    stored = store.produce(Request("dataset", "d", {}), fill_dataset)
    command = (f"store/{stored.key}", "--format", "olmo", "--output", "out")
    assert export(*command) == (0, "out\n", "")
    tokens = np.memmap(tmp_path / "out/web/part-00000.npy", mode="r", dtype="<u2")
    assert tokens.tolist() == [3, 1, 4, 0]
    status, _, errors = export(*command)
    assert (status, errors.count("\n")) == (2, 1)
    assert "out: there already, and not empty" in errors
    status, _, errors = export(f"store/{stored.key}", "--output", "other")
    assert status == 2
    assert "expected STORE/checkpoint/NAME" in errors
    assert export(*command, "--tokenizer", "x")[0] == 2


def test_a_checkpoint_without_a_tokenizer_asks_for_one(export: Export, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    alone = store.produce(Request("checkpoint", "c", {}), lambda folder: fill(folder, "checkpoint"))
    status, _, errors = export(f"store/{alone.key}", "--output", "out")
    assert status == 2
    assert "no tokenizer among what it was made from" in errors
    save_tokenizer(tmp_path / "words")
    assert export(f"store/{alone.key}", "--output", "out", "--tokenizer", "words")[0] == 0
    assert (tmp_path / "out" / "tokenizer.json").is_file()
