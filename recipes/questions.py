"""Multiple-choice questions from docstrings: which function does this summary describe?"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curricle.core.questions import LETTERS, Question, write_questions
from curricle.core.seeds import generator
from curricle.recipes.corpus import SUMMARIES, TRAIN
from curricle.recipes.documents import normalized, read_documents
from curricle.recipes.summaries import Summary, read_summaries

DEV_QUESTIONS = 5
MINIMUM_TEST_QUESTIONS = 10

BySubject = Mapping[str, Sequence[Summary]]


def build_questions(corpus: Path, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Write up to `count` test questions, and five dev questions a subject, in MMLU's layout.

    `corpus` is the folder that `build_corpus` filled; its held-out summaries are the questions. A
    subject is an importable package with summaries for five dev and at least ten test questions.
    Choices are names from the same package; right answers are spread evenly over A to D. Summaries
    that stand anywhere in the training documents aren't asked.

    Returns the counts of `dev` and `test` questions and of test questions by `subjects`, and a
    `note` (else None) why there are fewer than `count`: a corpus without a `python-environment` has
    none at all.
    """
    summaries = read_summaries(corpus / SUMMARIES)
    asked = _distinct(summaries, _training_text(corpus))
    numbers = _test_questions(asked, count)
    questions = list(_questions(asked, numbers, seed))
    write_questions(folder, questions)
    test = sum(numbers.values())
    return {
        "dev": len(questions) - test,
        "test": test,
        "subjects": numbers,
        "note": _note(len(summaries), test, count),
    }


def _training_text(corpus: Path) -> str:
    return normalized("\n".join(read_documents(corpus / TRAIN)["text"].to_pylist()))


def _distinct(summaries: Sequence[Summary], training_text: str) -> BySubject:
    """Summaries by subject, without repeated names or sentences and those that train."""
    seen: set[tuple[str, str]] = set()
    found: dict[str, list[Summary]] = {}
    for summary in summaries:
        keys = {(summary.subject, summary.name), (summary.subject, summary.sentence)}
        if not keys & seen and summary.sentence not in training_text:
            found.setdefault(summary.subject, []).append(summary)
            seen |= keys
    return dict(sorted(found.items()))


def _test_questions(summaries: BySubject, count: int) -> dict[str, int]:
    """How many of up to `count` test questions each subject gets: the richest ones, in turn."""
    minimum = min(MINIMUM_TEST_QUESTIONS, count)
    available = {subject: len(members) - DEV_QUESTIONS for subject, members in summaries.items()}
    able = [subject for subject, number in available.items() if number >= minimum]
    richest = sorted(able, key=lambda subject: -available[subject])[: count // minimum]
    turns = itertools.product(range(count), sorted(richest))
    dealt = [subject for turn, subject in turns if turn < available[subject]][:count]
    return {subject: dealt.count(subject) for subject in sorted(richest)}


def _questions(summaries: BySubject, numbers: Mapping[str, int], seed: int) -> Iterator[Question]:
    """Dev and test questions of every subject in `numbers`."""
    letters = {split: _balanced_letters(seed, split) for split in ("dev", "test")}
    for subject, number in numbers.items():
        names = [summary.name for summary in summaries[subject]]
        for position, summary in enumerate(summaries[subject][: DEV_QUESTIONS + number]):
            is_dev = position < DEV_QUESTIONS
            split, index = ("dev", position) if is_dev else ("test", position - DEV_QUESTIONS)
            answer = next(letters[split])
            random = generator(seed, "choices", subject, summary.name)
            choices = _choices(summary.name, names, answer, random)
            yield Question(subject, split, index, summary.sentence, choices, answer)


def _balanced_letters(seed: int, split: str) -> Iterator[str]:
    """A to D without end, each once in every four."""
    random = generator(seed, "answers", split)
    while True:
        yield from (LETTERS[index] for index in random.permutation(len(LETTERS)))


def _choices(
    name: str, names: Sequence[str], answer: str, random: np.random.Generator
) -> tuple[str, str, str, str]:
    """The right name in the place of `answer`, and three others of the package around it."""
    others = [other for other in names if other != name]
    choices = [others[index] for index in random.choice(len(others), 3, replace=False)]
    choices.insert(LETTERS.index(answer), name)
    first, second, third, fourth = choices
    return first, second, third, fourth


def _note(summaries: int, test: int, count: int) -> str | None:
    if not summaries:
        return "the corpora have no python-environment with held-out docstrings"
    if test < count:
        return f"held-out docstrings suffice for {test} of {count} questions"
    return None
