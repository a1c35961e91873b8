"""`curricle evaluate` with one model: what it prints, writes and refuses."""

import json
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.models.model_zoo import SPECS, TEXT, lively_model, save_checkpoint, save_tokenizer

from curricle.cli import main
from curricle.core.questions import LETTERS, Question, write_questions
from curricle.core.store import Artifact, Request, Store
from curricle.models import hessian, interruption, multiple_choice, subject_requests
from curricle.models.decoder import build_model
from curricle.models.huggingface import export_model
from curricle.recipes.tokenizing import train
from curricle.tasks import one_model

Evaluate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Evaluate:
    """The command in this process, as torch takes seconds to import; status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["evaluate", *arguments])
        assert isinstance(caught.value.code, int)
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A Hugging Face folder with its tokenizer."""
    checkpoint = save_checkpoint(tmp_path / "checkpoint", lively_model(SPECS["gpt2"]))
    export_model(checkpoint, save_tokenizer(tmp_path / "words"), tmp_path / "model")
    return "model"


@pytest.fixture
def questions(tmp_path: Path) -> str:
    made = [
        Question(subject, split, i, f"{i}?", ("a", "b", "c", "d"), LETTERS[i % 4])
        for subject in ("anatomy", "sums")
        for split, count in (("dev", 1), ("test", 6))
        for i in range(count)
    ]
    write_questions(tmp_path / "questions", made)
    return "questions"


@pytest.fixture
def texts(tmp_path: Path) -> str:
    paragraphs = [part for part in TEXT.split("\n\n") if len(part) > 200][:8]
    rows = [
        {"id": f"p{i}", "domain": "odd" if i % 2 else "even", "text": part}
        for i, part in enumerate(paragraphs)
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "texts.jsonl").write_text(content, encoding="utf-8")
    return "texts.jsonl"


def undocumented(result: dict[str, Any]) -> list[str]:
    """Keys of a result, and of entries in it, that `docs/evaluation.md` doesn't name."""
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    named = {word.partition(".")[2] or word for word in re.findall(r"`([a-z_.<>]+)`", text)}
    endings = ("_low", "_high", "_residual", "_converged")
    keys = set(result) | set(result.get("overall", ())) | set(result.get("verdict", ()))
    plain = {key.removeprefix("dense_") for key in keys}
    return sorted(key for key in plain if key not in named and not key.endswith(endings))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_multiple_choice_writes_rows_a_verdict_and_compares(
    evaluate: Evaluate, model: str, questions: str, tmp_path: Path
) -> None:
    command = ("mmlu", "--model", model, "--data", questions, "--shots", "1", "--threads", "1")
    status, text, errors = evaluate(*command, "--output", "first.json")
    assert (status, errors) == (0, "")
    assert "1-shot, 12 questions of 2 subjects" in text
    assert "Not above the constant letters: always answering A is right 33.3 %" in text
    content, rows = read(tmp_path / "first.json"), pq.read_table(tmp_path / "first.parquet")
    assert content["evaluation"] == "mmlu"
    assert content["rows"] == "first.parquet"
    assert content["settings"]["shots"] == 1
    result = content["result"]
    assert undocumented(result) == []
    assert result["verdict"]["above"] is False
    assert [entry["name"] for entry in result["subjects"]] == ["anatomy", "sums"]
    assert [(entry["name"], entry["questions"]) for entry in result["groups"]] == [("other", 6)]
    assert rows.column_names[:4] == ["subject", "index", "answer", "prediction"]
    assert not list(tmp_path.glob(".*"))  # nothing unfinished stays
    status, text, _ = evaluate(*command, "--output", "second.json", "--against", "first.parquet")
    assert "Against first.parquet: cannot tell, +0.00 points" in text
    status, text, _ = evaluate(*command, "--subjects", "sums", "--json", "--output", "third.json")
    assert json.loads(text)["result"] == read(tmp_path / "third.json")["result"]
    assert json.loads(text)["result"]["questions"] == 6


def test_a_dry_run_counts_and_writes_nothing(
    evaluate: Evaluate, model: str, questions: str, texts: str, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    command = ("mmlu", "--model", model, "--data", questions, "--shots", "1", "--dry-run", "--json")
    status, text, _ = evaluate(*command)
    found = json.loads(text)
    assert status == 0
    assert (found["questions"], found["truncated"]) == (12, 12)  # 48 positions
    assert found["flops"] > 0
    status, text, _ = evaluate("perplexity", "--model", model, "--data", texts, "--dry-run")
    assert status == 0
    assert "documents  8" in text
    planned = ("sharpness", "--model", model, "--data", texts, "--dry-run", "--json")
    assert json.loads(evaluate(*planned)[1])["products_at_most"] == 2 * 50 + 8
    fewer = json.loads(evaluate(*planned, "--no-dense-layers", "--trace-samples", "0")[1])
    assert fewer["products_at_most"] == 50
    assert (fewer["samples"], fewer["tokens"]) == (8, 8 * 48)
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_leaves_a_snapshot_and_the_same_command_goes_on(
    evaluate: Evaluate,
    model: str,
    questions: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("mmlu", "--model", model, "--data", questions, "--shots", "1", "--threads", "1")
    assert evaluate(*command, "--output", "whole.json")[0] == 0
    ask = subject_requests.ask
    asked: list[str] = []

    def interrupted(*arguments: Any) -> Any:
        asked.append(arguments[2][0].subject)
        if len(asked) == 1:
            signal.raise_signal(signal.SIGINT)
        return ask(*arguments)

    monkeypatch.setattr(multiple_choice, "ask", interrupted)
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    status, _, errors = evaluate(*command, "--output", "parts.json")
    assert status == 130
    assert errors.strip() == "interrupted: the same command goes on from here"
    assert (tmp_path / ".parts.unfinished").is_dir()
    assert not (tmp_path / "parts.json").exists()
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    assert evaluate(*command, "--output", "parts.json")[0] == 0
    assert asked == ["anatomy", "sums"]
    assert read(tmp_path / "parts.json")["result"] == read(tmp_path / "whole.json")["result"]


def test_ctrl_c_between_products_with_the_hessian_loses_none(
    evaluate: Evaluate, model: str, texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--batch-size", "2", "--max-iterations", "6", "--threads", "1")
    command = ("sharpness", "--model", model, "--data", texts, *options)
    assert evaluate(*command, "--output", "whole.json")[0] == 0
    backward = hessian._backward
    products = 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal products
        products += 1
        if products == 4:
            signal.raise_signal(signal.SIGINT)
        return backward(*arguments, **options)

    monkeypatch.setattr(hessian, "_backward", interrupted)
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    status, _, errors = evaluate(*command, "--output", "parts.json")
    assert (status, products) == (130, 4)
    assert errors.strip() == "interrupted: the same command goes on from here"
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    assert evaluate(*command, "--output", "parts.json")[0] == 0
    whole, parts = (read(tmp_path / f"{name}.json")["result"] for name in ("whole", "parts"))
    assert parts == whole
    assert products == whole["products"]
    assert not list(tmp_path.glob(".*"))


def test_perplexity_of_texts_and_of_the_dataset_made_of_them(
    evaluate: Evaluate, model: str, texts: str, tmp_path: Path
) -> None:
    status, text, _ = evaluate("perplexity", "--model", model, "--data", texts, "--threads", "1")
    assert status == 0
    assert "8 documents of 2 domains" in text
    result = read(tmp_path / "perplexity.json")["result"]
    assert sorted(result["domains"]) == ["even", "odd"]
    assert undocumented(result) == []
    rows = pq.read_table(tmp_path / "perplexity.parquet").to_pandas()
    assert sorted(rows["document"]) == [f"p{i}" for i in range(8)]
    written = [json.loads(line) for line in (tmp_path / texts).read_text("utf-8").splitlines()]
    assert rows["bytes"].sum() == sum(len(row["text"].encode()) for row in written)


def test_two_models_are_compared_document_by_document(
    evaluate: Evaluate, model: str, texts: str, tmp_path: Path
) -> None:
    lines = [part for part in TEXT.split("\n") if part.strip()][:40]
    rows = [
        {"id": str(i), "domain": "odd" if i % 2 else "even", "text": line}
        for i, line in enumerate(lines)
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / texts).write_text(content, encoding="utf-8")
    command = ("perplexity", "--data", texts, "--threads", "1")
    first = evaluate(*command, "--model", model, "--output", "first.json")
    assert first[0] == 0
    checkpoint = save_checkpoint(tmp_path / "plain", build_model(SPECS["gpt2"], seed=3))
    export_model(checkpoint, tmp_path / "words", tmp_path / "other")
    versus = ("--model", "other", "--against", "first.parquet")
    status, text, _ = evaluate(*command, *versus, "--output", "second.json")
    assert status == 0
    result = read(tmp_path / "second.json")["result"]
    assert undocumented(result) == []
    against, before = result["against"], read(tmp_path / "first.json")["result"]
    for name, entry in (("average", against), *against["domains"].items()):
        mine, theirs = (
            found["average"] if name == "average" else found["domains"][name]
            for found in (result, before)
        )
        expected = mine["bits_per_byte"] - theirs["bits_per_byte"]
        assert entry["difference"] == pytest.approx(expected)
        assert entry["low"] < entry["difference"] < entry["high"]
    assert against["verdict"] == "better"
    assert "Against first.parquet, on the mean over domains by document: better, -" in text
    assert "\n  odd: better, -" in text

    (tmp_path / texts).write_text(content.split("\n")[0] + "\n", encoding="utf-8")
    status, text, errors = evaluate(*command, *versus, "--output", "third.json")
    assert status == 2
    assert "expected the same documents" in errors
    assert "against" not in read(tmp_path / "third.json")["result"], "the result isn't lost"
    assert not list(tmp_path.glob(".*"))


def test_texts_that_are_not_used_are_counted_and_an_empty_domain_is_refused(
    evaluate: Evaluate, model: str, texts: str, tmp_path: Path
) -> None:
    command = ("perplexity", "--model", model, "--data", texts, "--threads", "1")
    with (tmp_path / texts).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"id": "blank", "domain": "odd", "text": " "}) + "\n")
    status, text, errors = evaluate(*command)
    assert status == 0
    assert errors == "texts.jsonl: not used: 1 empty-text\n"
    assert "8 documents of 2 domains" in text
    with (tmp_path / texts).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"id": "lost", "domain": "void", "text": ""}) + "\n")
    status, _, errors = evaluate(*command)
    assert status == 2
    assert "no usable text in domain 'void', expected at least one token" in errors


def test_sharpness_of_texts(
    evaluate: Evaluate, model: str, texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[Any, ...]] = []
    monkeypatch.setattr(one_model, "log_evaluation", lambda *found: logged.append(found))
    options = ("--batch-size", "2", "--max-iterations", "3", "--seed", "7", "--threads", "1")
    planned = ("sharpness", "--model", model, "--data", texts, "--dry-run", "--json")
    most = json.loads(evaluate(*planned, *options)[1])
    command = ("sharpness", "--model", model, "--data", texts, "--mlflow", "sqlite:///here.db")
    status, text, _ = evaluate(*command, *options)
    assert status == 0
    ((uri, name, _, kind, settings, result),) = logged
    assert (uri, name, kind, settings["seed"]) == ("sqlite:///here.db", "model", "sharpness", 7)
    assert result == read(tmp_path / "sharpness.json")["result"]
    assert "largest eigenvalue" in text
    content = read(tmp_path / "sharpness.json")
    assert (content["rows"], content["settings"]["seed"]) == (None, 7)
    assert undocumented(content["result"]) == []
    assert content["result"]["samples"] == 2
    assert content["result"]["products"] <= most["products_at_most"]
    assert content["result"]["flops"] == pytest.approx(most["flops"], rel=0.15)


def test_a_stored_checkpoint_brings_its_tokenizer(
    evaluate: Evaluate, questions: str, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))

    def fill(folder: Path, kind: str) -> None:
        made = (
            save_tokenizer(folder / "made")
            if kind == "tokenizer"
            else save_checkpoint(folder / "made", lively_model(SPECS["llama"]))
        )
        for path in made.iterdir():
            path.rename(folder / path.name)
        made.rmdir()

    words = store.produce(Request("tokenizer", "t", {}), lambda folder: fill(folder, "tokenizer"))
    checkpoint: Artifact = store.produce(
        Request("checkpoint", "c", {}, {"tokenizer": words}), lambda folder: fill(folder, "model")
    )
    place = f"store/{checkpoint.key}"
    status, _, errors = evaluate(
        "mmlu", "--model", place, "--data", questions, "--shots", "0", "--threads", "1"
    )
    assert (status, errors) == (0, "")
    assert read(tmp_path / "mmlu.json")["result"]["questions"] == 12


def test_data_in_another_vocabulary_is_refused(
    evaluate: Evaluate, model: str, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    other = train(["other words, other pieces of words"], 280).to_str()
    words = store.produce(
        Request("tokenizer", "t", {}), lambda folder: _write(folder / "tokenizer.json", other)
    )
    dataset: Artifact = store.produce(
        Request("dataset", "d", {}, {"tokenizer": words}),
        lambda folder: _write(folder / "manifest.json", "{}"),
    )
    for kind in ("perplexity", "sharpness"):
        status, _, errors = evaluate(kind, "--model", model, "--data", f"store/{dataset.key}")
        assert status == 2
        assert "expected those of the tokenizer that model reads with" in errors
        assert errors.count("\n") == 1


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_a_damaged_configuration_is_named(
    evaluate: Evaluate, model: str, texts: str, tmp_path: Path
) -> None:
    (tmp_path / model / "config.json").write_text("{")
    status, _, errors = evaluate("perplexity", "--model", model, "--data", texts)
    assert status != 0
    assert "config.json: Expecting" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mmlu", "--model", "nowhere", "--data", "questions"], "model nowhere: no such folder"),
        (["mmlu", "--model", "model", "--data", "nowhere"], "questions nowhere: does not exist"),
        (
            ["mmlu", "--model", "model", "--data", "questions"],
            "1 dev questions, expected at least 5",
        ),
        (
            ["mmlu", "--model", "model", "--data", "questions", "--output", "a.txt"],
            "expected a file ending in .json",
        ),
        (
            ["mmlu", "--model", "model", "--data", "questions", "--against", "questions"],
            "expected the Parquet file beside the JSON of an evaluation of this kind",
        ),
        (["perplexity", "--model", "model", "--data", "nowhere"], "path nowhere: does not exist"),
        (
            ["perplexity", "--model", "model", "--data", "x", "--against", "questions"],
            "expected the Parquet file beside the JSON",
        ),
        (
            ["harness", "--model", "model", "--tasks", "no_such_task"],
            "task 'no_such_task', expected a task of lm-evaluation-harness",
        ),
        (["no-such-study"], "study 'no-such-study'"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    evaluate: Evaluate,
    model: str,
    questions: str,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    before = sorted(tmp_path.rglob("*"))
    status, _, errors = evaluate(*arguments)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
