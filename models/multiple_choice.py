"""k-shot multiple choice in MMLU's protocol, as lm-evaluation-harness runs it.

A prompt is a header naming the subject, k questions of the subject's dev split with their answers,
and the question itself, ending in `Answer:`. Each choice is scored by the summed log-likelihood of
" A" … " D"; prompts longer than the model's context lose tokens on the left.

The right choice's text is scored too, in the cloze form of `models/prompts.py`: its bits per byte
fall with a model's loss long before any accuracy leaves chance.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer

from curricle.core.jobs import MultipleChoiceSpec
from curricle.core.plain import to_plain
from curricle.core.questions import LETTERS, Question, read_questions, select, split_shots
from curricle.core.tokenizer_file import load_tokenizer, vocabulary_size
from curricle.models.language_model import LanguageModel
from curricle.models.loading import load_language_model
from curricle.models.placement import Placement
from curricle.models.subject_requests import Answers, ask, join, subject_requests
from curricle.models.unfinished import State, Unfinished, identity_of

RESULT, ROWS = "multiple_choice.json", "multiple_choice.parquet"


def multiple_choice(
    spec: MultipleChoiceSpec,
    inputs: dict[str, Path],
    output: Path,
    placement: Placement,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Ask `inputs["checkpoint"]` the test questions of `inputs["questions"]`.

    `inputs["tokenizer"]` is the folder of the model's tokenizer. Writes a row per question and
    returns what `summarise` makes of them; `progress` is told how many of all subjects are done.
    Raises InputError for a set, a tokenizer and a model that don't go together, and JobError for
    answers that are not numbers.
    """
    placement.wake()
    model = load_language_model(inputs["checkpoint"])
    tokenizer = load_tokenizer(inputs["tokenizer"])
    model.check_vocabulary(vocabulary_size(tokenizer), "a tokenizer")
    questions = select(read_questions(inputs["questions"]), spec.subjects)
    dev, test = split_shots(questions, spec.shots)
    model.to(placement.device)
    folders = {role: inputs[role] for role in ("checkpoint", "tokenizer")}
    identity = identity_of(folders, spec=to_plain(spec), questions=to_plain(questions))
    asking = _Asking(len(test), Unfinished(placement, identity, output))
    for subject, asked in list(test.items())[asking.done :]:
        if progress:
            progress(asking.done, len(test))
        length = model.sequence_length
        requests = subject_requests(tokenizer, dev[subject], asked, length, cloze=spec.cloze)
        asking.add(ask(model, requests, asked), requests.flops(model))
    flat = [question for asked in test.values() for question in asked]
    result = {"shots": spec.shots, **summarise(asking.answers, flat)}
    (output / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    pq.write_table(rows_of(asking.answers, flat), output / ROWS, compression="zstd")
    return {**result, "flops": asking.flops}


def summarise(answers: Answers, test: Sequence[Question]) -> dict[str, Any]:
    """Scores of all questions together.

    `accuracy` with its `standard_error` over questions, as lm-evaluation-harness computes it;
    `calibrated_accuracy`, each letter's mean log-likelihood over all questions subtracted first;
    `correct_probability` of the right letter among the four; `bits_per_byte` of the right choices'
    texts in the cloze form, `answers_left_out` being longer than the context; each with its own
    `…_standard_error`, that of the calibrated one for the prior found; how often each letter was
    predicted, and how often it is right, which is the accuracy of always giving it; and how many
    prompts, questions alone, and cloze prompts were `truncated`.
    """
    likelihood_QA = answers.likelihood
    right_Q = np.array([question.answer_index for question in test])
    predicted_Q = likelihood_QA.argmax(axis=1)
    calibrated_Q = (likelihood_QA - likelihood_QA.mean(axis=0)).argmax(axis=1)
    shifted_QA = np.exp(likelihood_QA - likelihood_QA.max(axis=1, keepdims=True))
    probability_Q = shifted_QA[np.arange(len(right_Q)), right_Q] / shifted_QA.sum(axis=1)
    correct_Q, calibrated_correct_Q = predicted_Q == right_Q, calibrated_Q == right_Q
    bits, bits_error = _bits_per_byte(answers)
    return {
        "questions": len(right_Q),
        "correct": int(correct_Q.sum()),
        "accuracy": float(correct_Q.mean()),
        "standard_error": _standard_error(correct_Q),
        "calibrated_accuracy": float(calibrated_correct_Q.mean()),
        "calibrated_accuracy_standard_error": _standard_error(calibrated_correct_Q),
        "correct_probability": float(probability_Q.mean()),
        "correct_probability_standard_error": _standard_error(probability_Q),
        "bits_per_byte": bits,
        "bits_per_byte_standard_error": bits_error,
        "predicted_letters": {x: int((predicted_Q == i).sum()) for i, x in enumerate(LETTERS)},
        "constant_accuracy": {x: float((right_Q == i).mean()) for i, x in enumerate(LETTERS)},
        "truncated": int(answers.is_cut.sum()),
        "truncated_questions": int(answers.is_question_cut.sum()),
        "truncated_cloze": int(answers.is_cloze_cut.sum()),
        "answers_left_out": int(answers.is_left_out.sum()),
    }


def rows_of(answers: Answers, test: Sequence[Question]) -> pa.Table:
    """A row per question: what it was, what was answered, and with which log-likelihoods (nats)."""
    likelihood_QA = answers.likelihood
    return pa.table(
        {
            "subject": [question.subject for question in test],
            "index": [question.index for question in test],
            "answer": [question.answer for question in test],
            "prediction": [LETTERS[i] for i in likelihood_QA.argmax(axis=1)],
            **{f"loglikelihood_{x}": likelihood_QA[:, i] for i, x in enumerate(LETTERS)},
            "truncated": answers.is_cut,
            "truncated_question": answers.is_question_cut,
            "answer_nats": answers.nats,
            "answer_bytes": answers.bytes,
        }
    )


def estimate(
    spec: MultipleChoiceSpec,
    model: LanguageModel,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
) -> dict[str, int]:
    """What asking `questions` takes: questions, tokens, truncated prompts, operations (`flops`)."""
    dev, test = split_shots(select(questions, spec.subjects), spec.shots)
    totals: Counter[str] = Counter()
    for subject, asked in test.items():
        length = model.sequence_length
        requests = subject_requests(tokenizer, dev[subject], asked, length, cloze=spec.cloze)
        totals["questions"] += len(asked)
        totals["tokens"] += requests.tokens(model)
        totals["truncated"] += int(requests.is_cut.sum())
        totals["truncated_questions"] += sum(requests.is_question_cut)
        totals["flops"] += requests.flops(model)
    return dict(totals)


def _standard_error(values_Q: npt.NDArray[Any]) -> float:
    """Of the mean over questions; 0 for a single one, as lm-evaluation-harness has it."""
    size = len(values_Q)
    return float(values_Q.std(ddof=1)) / math.sqrt(size) if size > 1 else 0.0


def _bits_per_byte(answers: Answers) -> tuple[float | None, float | None]:
    """Bits of all answers over their bytes, and the standard error of that ratio of two sums.

    The error is the linearised one, over the answers whose text fits. None if there is none.
    """
    fits_Q = answers.bytes > 0
    nats_Q, bytes_Q = answers.nats[fits_Q], answers.bytes[fits_Q]
    if not len(nats_Q):
        return None, None
    bits_Q = nats_Q / math.log(2)
    ratio = float(bits_Q.sum() / bytes_Q.sum())
    error = _standard_error(bits_Q - ratio * bytes_Q) / float(bytes_Q.mean())
    return ratio, error


class _Asking:
    """Subject after subject, going on where a snapshot says."""

    def __init__(self, total: int, unfinished: Unfinished) -> None:
        self.total, self._unfinished = total, unfinished
        snapshot = unfinished.restore()
        self.done = snapshot.step if snapshot else 0
        self.flops = snapshot.facts["flops"] if snapshot else 0
        kept = {
            name: tensor.numpy() for name, tensor in (snapshot.tensors if snapshot else {}).items()
        }
        self._parts = [Answers(**kept)] if kept else []

    @property
    def answers(self) -> Answers:
        """All answers so far."""
        return join(self._parts)

    def add(self, part: Answers, flops: int) -> None:
        """Take a subject's answers. Raises InterruptedJobError if the job is to stop."""
        self._parts.append(part)
        self.flops += flops
        self.done += 1
        if self.done < self.total:
            self._unfinished.look(self.done, f"{self.done} of {self.total} subjects", self._state)

    def _state(self) -> State:
        tensors = {name: torch.from_numpy(each) for name, each in vars(self.answers).items()}
        return tensors, {"flops": self.flops}
