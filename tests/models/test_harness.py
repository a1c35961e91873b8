"""The adapter against lm-evaluation-harness's own Hugging Face model."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tests.models.model_zoo import SPECS, TEXT, lively_model, save_checkpoint, save_tokenizer

from curricle.core.errors import InputError, JobError
from curricle.core.tokenizer_file import load_tokenizer
from curricle.models.huggingface import export_model
from curricle.models.loading import load_language_model

pytest.importorskip("lm_eval", reason="needs the extra harness")

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from curricle.cli import main
from curricle.models import harness, interruption, log_likelihoods
from curricle.models.harness import HarnessModel
from curricle.models.placement import Placement
from curricle.models.unfinished import Unfinished


@pytest.fixture(scope="module", params=["gpt2", "llama-grouped"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with its tokenizer."""
    home = tmp_path_factory.mktemp("harness")
    checkpoint = save_checkpoint(home / "checkpoint", lively_model(SPECS[request.param]))
    export_model(checkpoint, save_tokenizer(home / "words"), home / "model")
    return home / "model"


@pytest.fixture(scope="module")
def ours(folder: Path) -> HarnessModel:
    tokenizer = load_tokenizer(folder)
    end_of_text = tokenizer.token_to_id("<|endoftext|>")
    assert end_of_text is not None
    return HarnessModel(load_language_model(folder), tokenizer, end_of_text)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=1)


def instances(kind: str, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [
        Instance(request_type=kind, doc={}, arguments=each, idx=i, metadata=("task", i, 1))
        for i, each in enumerate(arguments)
    ]


def test_logits_that_are_no_numbers_are_no_answers(ours: HarnessModel) -> None:
    model = lively_model(SPECS["gpt2"])
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    broken = HarnessModel(model, ours._tokenizer, ours._end_of_text)
    choices = instances("loglikelihood", ("Copyright", " owner"), ("Copyright", " holder"))
    for ask in (
        lambda: broken.loglikelihood(choices),
        lambda: broken.loglikelihood_rolling(instances("loglikelihood_rolling", ("Copyright",))),
        lambda: broken.generate_until(
            instances("generate_until", ("Copyright", {"until": [], "max_gen_toks": 2}))
        ),
    ):
        with pytest.raises(JobError, match="logits are no finite numbers"):
            ask()


def test_log_likelihoods_are_the_harnesss(ours: HarnessModel, theirs: Any) -> None:
    requests = instances(
        "loglikelihood",
        ("", "Copyright"),
        ("Copyright ", " owner"),
        ("a\n\n", "b"),
        (TEXT[:900], " of the License"),  # longer than the context
        (TEXT[:40], " of"),
        (TEXT[:40], " the"),
    )
    for (value, greedy), (expected, is_greedy) in zip(
        ours.loglikelihood(requests), theirs.loglikelihood(requests), strict=True
    ):
        assert value == pytest.approx(expected, abs=1e-4)
        assert greedy == is_greedy


def test_rolling_log_likelihoods_are_the_harnesss(ours: HarnessModel, theirs: Any) -> None:
    requests = instances("loglikelihood_rolling", ("Hi",), (TEXT[:50],), (TEXT[:1500],))
    found, expected = ours.loglikelihood_rolling(requests), theirs.loglikelihood_rolling(requests)
    assert found == pytest.approx(expected, rel=1e-5)


def test_greedy_generation_is_the_harnesss(ours: HarnessModel, theirs: Any) -> None:
    settings = {"until": ["\n\n"], "max_gen_toks": 12, "do_sample": False}
    requests = instances("generate_until", ("Licensed", settings), (TEXT[:900], settings))
    assert ours.generate_until(requests) == theirs.generate_until(requests)


def test_generation_ends_before_a_stop_word(ours: HarnessModel) -> None:
    settings = {"until": [], "max_gen_toks": 12}
    (whole,) = ours.generate_until(instances("generate_until", ("Licensed", settings)))
    stop = whole[3:5]
    settings = {"until": [stop], "max_gen_toks": 12}
    (cut,) = ours.generate_until(instances("generate_until", ("Licensed", settings)))
    assert cut == whole[: whole.index(stop)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_sample": True, "temperature": 0.8}, "samples what it generates"),
        ({"max_gen_toks": 48}, "48 tokens to generate with a model of 48"),
    ],
)
def test_what_cannot_be_generated_is_refused(
    ours: HarnessModel, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ours.generate_until(instances("generate_until", ("Licensed", settings)))


@pytest.fixture
def command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line that runs a task of one's own, six questions of two choices."""
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"{i}?", "choices": ["yes", "no"], "answer": i % 2} for i in range(6)]
    data = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "test.json").write_text(data, encoding="utf-8")
    task = {
        "task": "made_up",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "test.json")}},
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "made_up.yaml").write_text(json.dumps(task), encoding="utf-8")
    options = ["--threads", "1", "--tasks", "made_up", "--include-path", "tasks"]
    return ["evaluate", "harness", "--model", str(folder), *options]


def run(*arguments: str) -> object:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code


def test_the_command_runs_a_task_of_ones_own(command: list[str], tmp_path: Path) -> None:
    assert run(*command, "--output", "h.json") == 0
    result = json.loads((tmp_path / "h.json").read_text(encoding="utf-8"))["result"]
    table = pq.read_table(tmp_path / "h.parquet").to_pandas()
    accuracy = table.loc[table["metric"] == "acc", "value"]
    assert len(accuracy) == 6
    assert result["tasks"]["made_up"]["acc"]["value"] == pytest.approx(accuracy.mean())


def test_what_was_answered_before_ctrl_c_is_not_asked_again(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "REQUESTS_AT_ONCE", 4)  # of twelve
    assert run(*command, "--output", "whole.json") == 0
    score, calls = log_likelihoods.score, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            signal.raise_signal(signal.SIGINT)
        return score(*arguments)

    monkeypatch.setattr(harness, "score", interrupted)
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    assert run(*command, "--output", "parts.json") == 130
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    assert run(*command, "--output", "parts.json") == 0
    assert calls == 3
    whole, parts = (
        json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))["result"]
        for name in ("whole", "parts")
    )
    assert parts == whole
    rows = [pq.read_table(tmp_path / f"{name}.parquet") for name in ("whole", "parts")]
    assert rows[0].equals(rows[1])


def test_generated_and_rolling_answers_are_known_again(
    folder: Path, ours: HarnessModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"until": ["\n\n"], "max_gen_toks": 4}
    texts = instances("generate_until", ("Licensed", settings), ("Copyright", settings))
    rolling = instances("loglikelihood_rolling", ("Hi",), (TEXT[:50],))
    placement = Placement(unfinished=str(tmp_path / "kept"), snapshot_seconds=0.0)
    told: list[tuple[int, int]] = []

    def model() -> HarnessModel:
        kept = Unfinished(placement, "of this model", tmp_path)
        inner = (ours._model, ours._tokenizer, ours._end_of_text)
        return HarnessModel(*inner, kept, lambda done, total: told.append((done, total)))

    first = model()
    found = first.generate_until(texts), first.loglikelihood_rolling(rolling)
    assert found == (ours.generate_until(texts), ours.loglikelihood_rolling(rolling))
    assert told == [(1, 2), (2, 2), (2, 2)]
    second = model()

    def unexpected(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(harness, "score", unexpected)
    monkeypatch.setattr(HarnessModel, "_generate", unexpected)
    assert (second.generate_until(texts), second.loglikelihood_rolling(rolling)) == found
