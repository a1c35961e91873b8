from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec, MultipleChoiceSpec
from curricle.core.questions import Question, write_questions
from curricle.models.checkpoint import save_spec, save_weights
from curricle.models.decoder import Decoder, build_model
from curricle.models.multiple_choice import (
    log_likelihoods,
    multiple_choice,
    prompt,
    summarise,
)

LETTERS = "ABCD"


def make_questions(subject: str, dev: int, test: int) -> list[Question]:
    return [
        Question(
            subject=subject,
            split=split,
            index=index,
            question=f"What is {index % 4} plus one in {split}?",
            choices=("1", "2", "3", "4"),
            answer=LETTERS[index % 4],
        )
        for split, count in (("dev", dev), ("test", test))
        for index in range(count)
    ]


@pytest.fixture
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


def test_the_prompt_is_mmlus() -> None:
    dev, test = make_questions("high_school_sums", dev=1, test=1)
    assert prompt(test, [dev]) == (
        "The following are multiple choice questions (with answers) about high school sums.\n\n"
        "What is 0 plus one in dev?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: A\n\n"
        "What is 0 plus one in test?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
    )


def direct(model: Decoder, context: list[int], continuation: list[int]) -> float:
    """One sequence at a time, cut on the left as lm-evaluation-harness cuts it."""
    longest = model.spec.sequence_length
    inputs = (context + continuation)[-(longest + 1) :][:-1]
    with torch.no_grad():
        logits = model.logits(model.hidden(torch.tensor([inputs])))[0].log_softmax(-1)
    kept = continuation[-longest:]
    tail = logits[len(inputs) - len(kept) :]
    return sum(tail[i, token].item() for i, token in enumerate(kept))


def test_log_likelihoods_equal_a_direct_computation() -> None:
    model = build(length=20)
    draw = np.random.default_rng(0)
    pairs = [
        (draw.integers(300, size=a).tolist(), draw.integers(300, size=b).tolist())
        for a, b in [(5, 1), (19, 1), (20, 1), (40, 1), (7, 3), (30, 6), (3, 30), (5, 2)]
    ]
    pairs += [(pairs[0][0], [token]) for token in range(4)]  # one context, four continuations
    expected = [direct(model, *pair) for pair in pairs]
    np.testing.assert_allclose(log_likelihoods(model, pairs), expected, atol=1e-4)


def test_scores_by_hand() -> None:
    likelihood = np.log(
        np.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.5, 0.05, 0.05], [0.7, 0.1, 0.1, 0.1]])
    )
    result = summarise(likelihood, ["A", "B", "C"], np.array([True, False, False]))
    assert result["correct"] == 2
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["correct_probability"] == pytest.approx((0.4 + 0.5 + 0.1) / 3)
    assert result["predicted_letters"] == {"A": 2, "B": 1, "C": 0, "D": 0}
    assert result["constant_accuracy"] == pytest.approx(
        {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3, "D": 0}
    )
    assert result["truncated"] == 1


def test_calibration_takes_a_letters_prior_out() -> None:
    likelihood = np.array([[3.0, 0, 0, 0], [3.0, 1, 0, 0], [3.0, 0, 1, 0], [3.0, 0, 0, 1]])
    result = summarise(likelihood, ["A", "B", "C", "D"], np.zeros(4, dtype=bool))
    assert result["accuracy"] == 0.25
    assert result["calibrated_accuracy"] == 1.0


@pytest.mark.parametrize(("length", "truncated"), [(1000, 0), (60, 6)])
def test_a_set_is_asked_and_every_question_kept(
    tokenizer: Tokenizer, tmp_path: Path, length: int, truncated: int
) -> None:
    inputs = {role: tmp_path / role for role in ("checkpoint", "tokenizer", "questions", "out")}
    for folder in inputs.values():
        folder.mkdir()
    output = inputs.pop("out")
    model = build(length)
    save_spec(inputs["checkpoint"], model.spec)
    save_weights(inputs["checkpoint"], model)
    tokenizer.save(str(inputs["tokenizer"] / "tokenizer.json"))
    write_questions(inputs["questions"], make_questions("sums", dev=5, test=6))
    result = multiple_choice(MultipleChoiceSpec(shots=5), inputs, output)
    rows = pq.read_table(output / "multiple_choice.parquet").to_pandas()
    assert result["questions"] == len(rows) == 6
    assert result["truncated"] == rows["truncated"].sum() == truncated
    assert (rows["prediction"] == rows["answer"]).mean() == pytest.approx(result["accuracy"])
    assert sum(result["predicted_letters"].values()) == 6
    assert result["bits_per_byte"] > 0
    with pytest.raises(InputError, match="subject sums: 5 dev questions, expected at least 6"):
        multiple_choice(MultipleChoiceSpec(shots=6), inputs, output)
