"""One subject's questions as requests to a model, and what the model answers.

Shape suffixes: Q questions, A answer letters.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from curricle.core.errors import InputError, JobError
from curricle.core.questions import LETTERS, Question
from curricle.models.language_model import LanguageModel
from curricle.models.log_likelihoods import (
    Floats,
    Request,
    make_requests,
    score,
    split_by_prefix,
)
from curricle.models.prompts import ask_letter, cloze_prompt, letter_prompt

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """A model's answers to questions; arrays with an entry for each.

    `likelihood` (Q, A): log-likelihood of each letter. `nats`: minus that of the right choice's
    text in the cloze form, `bytes` its bytes with the blank before it; both 0 for a text that
    wasn't asked, or is longer than the context, which `is_left_out` says. `is_cut` and
    `is_cloze_cut` say of which prompts the beginning didn't fit, `is_question_cut` where not even
    the question did.
    """

    likelihood: Floats
    nats: Floats
    bytes: Integers
    is_cut: Bools
    is_question_cut: Bools
    is_cloze_cut: Bools
    is_left_out: Bools


@dataclass(frozen=True)
class SubjectRequests:
    """The letters of each question in turn, and the right choices' texts where they are asked."""

    letters: list[Request]
    texts: list[Request]
    text_bytes: list[int]
    is_question_cut: list[bool]

    @property
    def is_cut(self) -> Bools:
        """Of which questions the prompt doesn't fit."""
        cut_QA = np.array([request.is_cut for request in self.letters]).reshape(-1, len(LETTERS))
        return np.asarray(cut_QA.any(axis=1))

    def tokens(self, model: LanguageModel) -> int:
        """Tokens that `model` reads to answer, those of a shared prefix once."""
        return sum(
            part.tokens
            for requests in (self.letters, self.texts)
            for part in split_by_prefix(requests, keeps_prefixes=model.keeps_prefixes)
        )

    def flops(self, model: LanguageModel) -> int:
        """Operations of answering: the layers on every token read, the head where it is asked."""
        head = 2 * model.head_weight.numel()
        asked = len({request.tokens for request in self.letters})
        asked += sum(len(request.targets) for request in self.texts)
        layers = model.forward_flops_per_token - head
        return self.tokens(model) * layers + asked * head


def subject_requests(
    tokenizer: Tokenizer,
    shots: Sequence[Question],
    test: Sequence[Question],
    length: int,
    *,
    cloze: bool = True,
) -> SubjectRequests:
    """Requests for a subject's test questions to a model of `length` positions.

    Raises InputError for a tokenizer in which letters can't be told apart.
    """
    prompts = [letter_prompt(question, shots) for question in test]
    pairs = [(prompt, f" {letter}") for prompt in prompts for letter in LETTERS]
    letters = make_requests(tokenizer, pairs, length)
    if len({(request.tokens, request.targets) for request in letters[: len(LETTERS)]}) < 4:
        raise InputError(
            "a tokenizer that gives several of the letters A to D the same tokens",
            expected="one that tells them apart",
            fix="evaluate with the model's own tokenizer",
        )
    texts = [(cloze_prompt(x, shots), f" {x.answer_text}") for x in test] if cloze else []
    return SubjectRequests(
        letters,
        make_requests(tokenizer, texts, length),
        [len(answer.encode()) for _, answer in texts],
        _cut_questions(tokenizer, test, letters, length),
    )


def ask(model: LanguageModel, requests: SubjectRequests, test: Sequence[Question]) -> Answers:
    """Answers to a subject's questions.

    Raises JobError, naming the first, for one that is NaN or infinite.
    """
    likelihood_QA = score(model, requests.letters).log_likelihood.reshape(-1, len(LETTERS))
    nats_Q, bytes_Q = np.zeros(len(test)), np.zeros(len(test), dtype=np.int64)
    texts = requests.texts
    fitting = [index for index, request in enumerate(texts) if request.fits]
    nats_Q[fitting] = -score(model, [texts[i] for i in fitting]).log_likelihood
    bytes_Q[fitting] = np.array(requests.text_bytes, dtype=np.int64)[fitting]
    wrong = np.flatnonzero(~np.isfinite(likelihood_QA).all(axis=1) | ~np.isfinite(nats_Q))
    if len(wrong):
        first = test[wrong[0]]
        raise JobError(
            f"the model's answer to question {first.index} of {first.subject} is no finite number, "
            f"and so on {len(wrong)} of {len(test)}: its weights or its precision don't serve"
        )
    cloze_cut = [request.is_cut for request in texts]
    left_out = [not request.fits for request in texts]
    return Answers(
        likelihood_QA,
        nats_Q,
        bytes_Q,
        requests.is_cut,
        np.array(requests.is_question_cut),
        *(np.array(flags or [False] * len(test)) for flags in (cloze_cut, left_out)),
    )


def join(parts: Sequence[Answers]) -> Answers:
    """The answers of several subjects, one after the other."""
    columns = zip(*(astuple(part) for part in parts), strict=True)
    return Answers(*(np.concatenate(column) for column in columns))


def _cut_questions(
    tokenizer: Tokenizer, test: Sequence[Question], letters: Sequence[Request], length: int
) -> list[bool]:
    """Whether a question with its choices is longer than the context, let alone any examples."""
    cut = [any(r.is_cut for r in letters[4 * i : 4 * i + 4]) for i in range(len(test))]
    texts = [ask_letter(question) for question, is_cut in zip(test, cut, strict=True) if is_cut]
    sizes = iter([len(encoding) for encoding in tokenizer.encode_batch(texts)])
    return [is_cut and next(sizes) > length for is_cut in cut]
