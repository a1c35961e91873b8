"""The multiple-choice job: its numbers, its rows, going on after an interruption, bad input."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.accelerators import ACCELERATORS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import ModelSpec, MultipleChoiceSpec
from curricle.core.questions import LETTERS, Question, write_questions
from curricle.models import unfinished
from curricle.models.checkpoint import save_spec, save_weights
from curricle.models.decoder import Decoder, build_model
from curricle.models.interruption import InterruptedJobError
from curricle.models.multiple_choice import estimate, multiple_choice, summarise
from curricle.models.placement import Placement
from curricle.models.prompts import cloze_prompt, letter_prompt
from curricle.models.subject_requests import Answers, subject_requests

Inputs = dict[str, Path]


def make_questions(subject: str, dev: int, test: int) -> list[Question]:
    return [
        Question(
            subject=subject,
            split=split,
            index=index,
            question=f"What is {index % 4} plus one in {split}?",
            choices=("1", "2", "3", "für"),
            answer=LETTERS[index % 4],
        )
        for split, count in (("dev", dev), ("test", test))
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["What is Answer: A\n\n Answer: B plus one in test?"] * 5, trainer
    )
    return tokenizer


def build(length: int) -> Decoder:
    spec = ModelSpec(
        family="gpt2",
        num_layers=2,
        width=16,
        num_heads=2,
        vocabulary_size=300,
        sequence_length=length,
    )
    return build_model(spec, seed=0).eval()


Make = Callable[..., Inputs]


@pytest.fixture
def make_inputs(tokenizer: Tokenizer, tmp_path: Path) -> Make:
    def make(length: int = 1000, *, broken: bool = False) -> Inputs:
        inputs = {role: tmp_path / role for role in ("checkpoint", "tokenizer", "questions")}
        for folder in inputs.values():
            folder.mkdir()
        model = build(length)
        if broken:
            with torch.no_grad():
                dict(model.named_parameters())["final_norm.weight"].fill_(float("nan"))
        save_spec(inputs["checkpoint"], model.spec)
        save_weights(inputs["checkpoint"], model.state_dict())
        tokenizer.save(str(inputs["tokenizer"] / "tokenizer.json"))
        questions = make_questions("sums", 5, 6) + make_questions("anatomy", 5, 3)
        write_questions(inputs["questions"], questions)
        return inputs

    return make


def direct(model: Decoder, tokenizer: Tokenizer, context: str, continuation: str) -> float:
    """One text at a time."""
    whole = tokenizer.encode(context + continuation).ids
    count = len(whole) - len(tokenizer.encode(context).ids)
    kept = whole[-(model.sequence_length + 1) :]
    with torch.no_grad():
        logits = model.logits(model.hidden(torch.tensor([kept[:-1]])))[0].log_softmax(-1)
    return sum(logits[-count + i, kept[-count + i]].item() for i in range(count))


@pytest.mark.parametrize(("length", "truncated"), [(1000, 0), (60, 9)])
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_every_row_equals_a_direct_computation(
    accelerator: str,
    tokenizer: Tokenizer,
    make_inputs: Make,
    tmp_path: Path,
    length: int,
    truncated: int,
) -> None:
    spec = MultipleChoiceSpec(shots=5)
    inputs = make_inputs(length)
    result = multiple_choice(spec, inputs, tmp_path, Placement(accelerator=accelerator))
    rows = pq.read_table(tmp_path / "multiple_choice.parquet").to_pandas()
    model = build(length)
    nats = 0.0
    for subject, count in (("anatomy", 3), ("sums", 6)):
        questions = make_questions(subject, 5, count)
        dev, test = questions[:5], questions[5:]
        for question in test:
            row = rows[(rows["subject"] == subject) & (rows["index"] == question.index)].iloc[0]
            found = [row[f"loglikelihood_{x}"] for x in LETTERS]
            text = letter_prompt(question, dev)
            expected = [direct(model, tokenizer, text, f" {x}") for x in LETTERS]
            np.testing.assert_allclose(found, expected, atol=1e-4)
            assert row["prediction"] == LETTERS[int(np.argmax(expected))]
            assert row["answer"] == question.answer
            context, answer = cloze_prompt(question, dev), f" {question.answer_text}"
            nats -= direct(model, tokenizer, context, answer)
            # 2 bytes for " 1" and the like; "ü" takes two.
            assert row["answer_bytes"] == (5 if question.answer == "D" else 2)
    assert result["bits_per_byte"] == pytest.approx(nats / math.log(2) / rows["answer_bytes"].sum())
    assert result["questions"] == len(rows) == 9
    assert result["truncated"] == rows["truncated"].sum() == truncated
    assert (rows["prediction"] == rows["answer"]).mean() == pytest.approx(result["accuracy"])
    assert sum(result["predicted_letters"].values()) == 9


def likelihoods(values: list[list[float]]) -> Answers:
    size = len(values)
    no = np.zeros(size, dtype=np.bool_)
    return Answers(np.array(values), np.full(size, 2.0), np.full(size, 4), ~no, no, no, no)


def asked(answers: str) -> list[Question]:
    return [Question("s", "test", i, "?", ("1", "2", "3", "4"), x) for i, x in enumerate(answers)]


def test_scores_by_hand() -> None:
    shares = [[0.4, 0.3, 0.2, 0.1], [0.4, 0.5, 0.05, 0.05], [0.7, 0.1, 0.1, 0.1]]
    result = summarise(likelihoods(np.log(shares).tolist()), asked("ABC"))
    assert result["correct"] == 2
    assert result["accuracy"] == pytest.approx(2 / 3)
    # The standard deviation of 1, 1, 0 over the root of 3.
    assert result["standard_error"] == pytest.approx(math.sqrt(1 / 3) / math.sqrt(3))
    assert result["correct_probability"] == pytest.approx((0.4 + 0.5 + 0.1) / 3)
    assert result["predicted_letters"] == {"A": 2, "B": 1, "C": 0, "D": 0}
    assert result["constant_accuracy"] == pytest.approx(
        {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3, "D": 0}
    )
    spread = np.std([0.4, 0.5, 0.1], ddof=1)
    assert result["correct_probability_standard_error"] == pytest.approx(spread / math.sqrt(3))
    assert result["bits_per_byte"] == pytest.approx(2 / math.log(2) / 4)
    assert result["bits_per_byte_standard_error"] == 0.0
    assert (result["truncated"], result["truncated_questions"]) == (3, 0)


def test_the_error_of_bits_per_byte_is_the_spread_over_sets_of_questions() -> None:
    draw = np.random.default_rng(0)
    no = np.zeros(400, dtype=np.bool_)

    def asked_once() -> dict[str, float]:
        size = draw.integers(2, 40, 400)
        nats = size * draw.gamma(4, 0.2, 400)
        return summarise(Answers(np.zeros((400, 4)), nats, size, no, no, no, no), asked("A" * 400))

    found = [asked_once() for _ in range(500)]
    spread = np.std([each["bits_per_byte"] for each in found], ddof=1)
    errors = [each["bits_per_byte_standard_error"] for each in found]
    assert np.mean(errors) == pytest.approx(spread, rel=0.1)


def test_calibration_takes_a_letters_prior_out() -> None:
    values = [[3.0, 0, 0, 0], [3.0, 1, 0, 0], [3.0, 0, 1, 0], [3.0, 0, 0, 1]]
    result = summarise(likelihoods(values), asked("ABCD"))
    assert result["accuracy"] == 0.25
    assert result["calibrated_accuracy"] == 1.0
    assert result["calibrated_accuracy_standard_error"] == 0.0


def test_an_interrupted_one_goes_on_to_the_same_numbers(
    make_inputs: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, spec = make_inputs(), MultipleChoiceSpec(shots=5)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = multiple_choice(spec, inputs, whole, Placement())
    placement = Placement(unfinished=str(tmp_path / "unfinished"))
    monkeypatch.setattr(unfinished, "stop_requested", lambda: True)
    with pytest.raises(InterruptedJobError, match="after 1 of 2 subjects"):
        multiple_choice(spec, inputs, parts, placement)
    monkeypatch.setattr(unfinished, "stop_requested", lambda: False)
    told: list[tuple[int, int]] = []
    found = multiple_choice(spec, inputs, parts, placement, lambda *done: told.append(done))
    assert told == [(1, 2)]  # the first subject wasn't asked again
    assert found == expected
    rows = [pq.read_table(folder / "multiple_choice.parquet") for folder in (whole, parts)]
    assert rows[0].equals(rows[1])


def test_another_evaluations_unfinished_work_is_not_used(
    make_inputs: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    inputs, spec = make_inputs(), MultipleChoiceSpec(shots=5)
    placement = Placement(unfinished=str(tmp_path / "unfinished"))
    monkeypatch.setattr(unfinished, "stop_requested", lambda: True)
    with pytest.raises(InterruptedJobError):
        multiple_choice(spec, inputs, tmp_path, placement)
    monkeypatch.setattr(unfinished, "stop_requested", lambda: False)
    told: list[tuple[int, int]] = []
    fewer = replace(spec, shots=4)
    multiple_choice(fewer, inputs, tmp_path, placement, lambda *done: told.append(done))
    assert told == [(0, 2), (1, 2)]
    assert "belongs to another job" in capsys.readouterr().err


def test_answers_that_are_not_numbers_name_the_question(make_inputs: Make, tmp_path: Path) -> None:
    inputs = make_inputs(broken=True)
    told = "question 0 of anatomy is no finite number, and so on 3 of 3"
    with pytest.raises(JobError, match=told):
        multiple_choice(MultipleChoiceSpec(shots=5), inputs, tmp_path, Placement())


def test_too_few_dev_questions_and_unknown_subjects_are_refused(
    make_inputs: Make, tmp_path: Path
) -> None:
    inputs = make_inputs()
    with pytest.raises(InputError, match="subject anatomy: 5 dev questions, expected at least 6"):
        multiple_choice(MultipleChoiceSpec(shots=6), inputs, tmp_path, Placement())
    spec = MultipleChoiceSpec(shots=5, subjects=("sum",))
    with pytest.raises(InputError, match="subject 'sum', expected one .* such as sums"):
        multiple_choice(spec, inputs, tmp_path, Placement())


def test_answers_longer_than_the_context_are_counted_and_left_out(
    make_inputs: Make, tmp_path: Path
) -> None:
    """With three positions " 1" fits, its two tokens; " für", all four bytes of it, doesn't."""
    result = multiple_choice(MultipleChoiceSpec(shots=0), make_inputs(3), tmp_path, Placement())
    rows = pq.read_table(tmp_path / "multiple_choice.parquet").to_pandas()
    assert result["answers_left_out"] == 1
    assert (rows["answer_bytes"] == 0).tolist() == (rows["answer"] == "D").tolist()
    assert result["questions"] == result["truncated_questions"] == 9


def test_letters_alone_are_answered_alike(make_inputs: Make, tmp_path: Path) -> None:
    inputs, spec = make_inputs(), MultipleChoiceSpec(shots=5)
    both = multiple_choice(spec, inputs, tmp_path, Placement())
    alone = multiple_choice(replace(spec, cloze=False), inputs, tmp_path, Placement())
    assert alone["bits_per_byte"] is None
    assert alone["answers_left_out"] == 0
    assert alone["flops"] < both["flops"]
    assert alone["correct_probability"] == both["correct_probability"]


def test_a_tokenizer_that_mixes_up_letters_is_refused() -> None:
    words = {"[UNK]": 0, "Answer": 1, ":": 2}
    blind = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    blind.pre_tokenizer = pre_tokenizers.Whitespace()
    questions = make_questions("sums", 0, 2)
    with pytest.raises(InputError, match="several of the letters A to D the same tokens"):
        subject_requests(blind, [], questions, 100)


def test_an_estimate_counts_what_is_read(tokenizer: Tokenizer) -> None:
    questions, spec = make_questions("sums", 5, 6), MultipleChoiceSpec(shots=5)
    found = estimate(spec, build(1000), tokenizer, questions)
    texts = [letter_prompt(each, questions[:5]) for each in questions[5:]]
    clozes = [f"{cloze_prompt(x, questions[:5])} {x.answer_text}" for x in questions[5:]]
    sizes = [len(tokenizer.encode(text).ids) for text in texts]
    cloze_sizes = [len(tokenizer.encode(text).ids) - 1 for text in clozes]
    assert (found["questions"], found["truncated"]) == (6, 0)
    assert max(sizes) < found["tokens"] < sum(sizes) + sum(cloze_sizes)
    short = estimate(spec, build(60), tokenizer, questions)
    assert (short["truncated"], short["truncated_questions"]) == (6, 0)
    # Four of the questions differ; " A" and " B" are one token, " C" and " D" two.
    assert short["tokens"] == 4 * 60 * 2 + 4 * 60
    assert estimate(spec, build(20), tokenizer, questions)["truncated_questions"] == 6
    letters = estimate(replace(spec, cloze=False), build(60), tokenizer, questions)
    assert letters["tokens"] == 4 * 60 * 2
