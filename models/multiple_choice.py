"""k-shot multiple choice in MMLU's protocol, as lm-evaluation-harness runs it.

A prompt is a header naming the subject, k questions of the subject's dev split with their answers,
and the question itself, ending in `Answer:`. Each choice is scored by the summed log-likelihood of
" A" … " D"; prompts longer than the model's context lose tokens on the left.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer

from curricle.core.jobs import MultipleChoiceSpec
from curricle.core.questions import Question, read_questions, split_shots
from curricle.core.tokenizer_file import load_tokenizer
from curricle.models.checkpoint import load_model
from curricle.models.decoder import Decoder
from curricle.models.flops import forward_flops_per_token
from curricle.models.text import token_byte_lengths

LETTERS = "ABCD"
RESULT, ROWS = "multiple_choice.json", "multiple_choice.parquet"
BATCH = 32

Floats = npt.NDArray[np.float64]
Pair = tuple[list[int], list[int]]


def multiple_choice(
    spec: MultipleChoiceSpec, inputs: dict[str, Path], output: Path
) -> dict[str, Any]:
    """Ask `inputs["checkpoint"]` the test questions of `inputs["questions"]`.

    Writes a row per question and returns accuracy, prior-calibrated accuracy (each letter's mean
    log-likelihood over all questions subtracted first), the mean probability of the right letter,
    bits per byte of the right answer's text, the histogram of predicted letters, the accuracy of
    answering one letter always, and how many prompts were truncated.
    """
    model = load_model(inputs["checkpoint"])
    tokenizer = load_tokenizer(inputs["tokenizer"])
    dev, test = split_shots(read_questions(inputs["questions"]), spec.shots)
    contexts = [prompt(question, dev[question.subject][: spec.shots]) for question in test]
    pairs = [_encode(tokenizer, text, f" {letter}") for text in contexts for letter in LETTERS]
    likelihood_QA = log_likelihoods(model, pairs).reshape(len(test), len(LETTERS))
    answers = [
        _encode(tokenizer, text, f" {_answer(q)}") for text, q in zip(contexts, test, strict=True)
    ]
    answer_nats = -log_likelihoods(model, answers)
    sizes = token_byte_lengths(tokenizer)
    answer_bytes = sum(int(sizes[continuation].sum()) for _, continuation in answers)
    longest = model.spec.sequence_length
    truncated = np.array([len(a) + len(b) - 1 > longest for a, b in pairs[:: len(LETTERS)]])
    result = summarise(likelihood_QA, [q.answer for q in test], truncated)
    result["bits_per_byte"] = float(answer_nats.sum() / np.log(2) / answer_bytes)
    result["shots"] = spec.shots
    (output / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _write_rows(output, test, likelihood_QA, truncated)
    tokens = sum(min(len(a) + len(b) - 1, longest) for a, b in (*pairs, *answers))
    return {**result, "flops": tokens * forward_flops_per_token(model.spec)}


def prompt(question: Question, shots: Sequence[Question]) -> str:
    """The text before the answer letter, few-shot examples included."""
    subject = question.subject.replace("_", " ")
    header = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    examples = "".join(f"{_ask(shot)} {shot.answer}\n\n" for shot in shots)
    return header + examples + _ask(question)


def summarise(
    likelihood_QA: Floats, answers: Sequence[str], truncated: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Scores out of the log-likelihoods (questions, letters) and the right letters."""
    right = np.array([LETTERS.index(answer) for answer in answers])
    predicted = likelihood_QA.argmax(axis=1)
    calibrated = (likelihood_QA - likelihood_QA.mean(axis=0)).argmax(axis=1)
    shifted = np.exp(likelihood_QA - likelihood_QA.max(axis=1, keepdims=True))
    probability = shifted[np.arange(len(right)), right] / shifted.sum(axis=1)
    return {
        "questions": len(right),
        "correct": int((predicted == right).sum()),
        "accuracy": float((predicted == right).mean()),
        "calibrated_accuracy": float((calibrated == right).mean()),
        "correct_probability": float(probability.mean()),
        "predicted_letters": {x: int((predicted == i).sum()) for i, x in enumerate(LETTERS)},
        "constant_accuracy": {x: float((right == i).mean()) for i, x in enumerate(LETTERS)},
        "truncated": int(truncated.sum()),
    }


@torch.no_grad()
def log_likelihoods(model: Decoder, pairs: Sequence[Pair]) -> Floats:
    """Summed log-likelihood of each continuation after its context, in nats; shape (pairs,).

    Tokens before the last `sequence_length + 1` are dropped. Requests that share their input (the
    four letters, where each is one token) are computed once.
    """
    longest = model.spec.sequence_length
    cut = [((a + b)[-(longest + 1) :], min(len(b), longest)) for a, b in pairs]
    wanted: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
    for index, (tokens, count) in enumerate(cut):
        wanted[tuple(tokens[:-1])].append((index, count))
    out = np.zeros(len(pairs))
    contexts = sorted(wanted, key=len)
    for start in range(0, len(contexts), BATCH):
        chunk = contexts[start : start + BATCH]
        width = max(map(len, chunk))
        padded_BT = torch.zeros(len(chunk), width, dtype=torch.long)
        for row, context in enumerate(chunk):
            padded_BT[row, : len(context)] = torch.tensor(context)
        hidden_BTC = model.hidden(padded_BT)
        for row, context in enumerate(chunk):
            for index, count in wanted[context]:
                hidden_KC = hidden_BTC[row, len(context) - count : len(context)]
                log_probability_KV = model.logits(hidden_KC).float().log_softmax(-1)
                target_K1 = torch.tensor(cut[index][0][-count:])[:, None]
                out[index] = log_probability_KV.gather(1, target_K1).sum().item()
    return out


def _ask(question: Question) -> str:
    choices = "".join(f"{x}. {y}\n" for x, y in zip(LETTERS, question.choices, strict=True))
    return f"{question.question.strip()}\n{choices}Answer:"


def _answer(question: Question) -> str:
    return question.choices[LETTERS.index(question.answer)]


def _encode(tokenizer: Tokenizer, context: str, continuation: str) -> Pair:
    """Token ids of context and continuation, split where the context alone would end.

    As in lm-evaluation-harness, the continuation's tokens are those of the whole text beyond the
    number of tokens of the context by itself.
    """
    whole = tokenizer.encode(context + continuation).ids
    boundary = len(tokenizer.encode(context).ids)
    return whole[:boundary], whole[boundary:]


def _write_rows(
    output: Path,
    test: Sequence[Question],
    likelihood_QA: Floats,
    truncated: npt.NDArray[np.bool_],
) -> None:
    columns: dict[str, Any] = {
        "subject": [question.subject for question in test],
        "index": [question.index for question in test],
        "answer": [question.answer for question in test],
        "prediction": [LETTERS[i] for i in likelihood_QA.argmax(axis=1)],
    }
    columns |= {f"loglikelihood_{x}": likelihood_QA[:, i] for i, x in enumerate(LETTERS)}
    columns["truncated"] = truncated
    pq.write_table(pa.table(columns), output / ROWS, compression="zstd")
