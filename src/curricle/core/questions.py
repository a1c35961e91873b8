"""Multiple-choice questions in MMLU's layout, shared by those who make and those who ask them."""

import csv
import difflib
import re
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curricle.core.errors import InputError
from curricle.core.question_files import LETTERS, Row, malformed, read_rows

__all__ = ["LETTERS", "Question", "read_questions", "select", "split_shots", "write_questions"]

SPLITS = ("dev", "val", "test")

_SUBJECT = re.compile(r"[^/.][^/]*")


@dataclass(frozen=True)
class Question:
    """One question; `index` is its position in its subject and split, `answer` one of A to D."""

    subject: str
    split: str
    index: int
    question: str
    choices: tuple[str, str, str, str]
    answer: str

    @property
    def answer_index(self) -> int:
        """Position of the right choice."""
        return LETTERS.index(self.answer)

    @property
    def answer_text(self) -> str:
        """The right choice."""
        return self.choices[self.answer_index]


def read_questions(path: Path) -> list[Question]:
    """All questions of a folder, `.tar.gz` or Parquet file, sorted by subject, split and index.

    `core.question_files` describes the layouts. Raises InputError, naming file and row, for
    whatever isn't in them.
    """
    if not path.exists():
        raise InputError(
            f"questions {path}: does not exist",
            expected="a folder, .tar.gz or .parquet file in MMLU's layout",
            fix="correct the path",
        )
    try:
        questions = list(_distinct(read_rows(path)))
    except (OSError, EOFError, zlib.error, tarfile.TarError, pa.ArrowException) as error:
        raise InputError(
            f"questions {path}: {error}",
            expected="a complete, readable file",
            fix="fetch it again",
        ) from None
    if not questions:
        raise InputError(
            f"questions {path}: no questions",
            expected="{dev,test}/<subject>_{dev,test}.csv in it",
            fix="correct the path",
        )
    return sorted(questions, key=lambda one: (one.subject, SPLITS.index(one.split), one.index))


def write_questions(folder: Path, questions: Iterable[Question]) -> None:
    """Write `<split>/<subject>_<split>.csv` into `folder`, rows in the order of `index`."""
    rows: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        rows.setdefault((question.split, question.subject), []).append(question)
    for (split, subject), members in rows.items():
        path = folder / split / f"{subject}_{split}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            for one in sorted(members, key=lambda member: member.index):
                writer.writerow([one.question, *one.choices, one.answer])


def _distinct(rows: Iterable[Row]) -> Iterator[Question]:
    """Their questions. Raises InputError for a place in a subject that two of them claim."""
    files: dict[tuple[str, str, int], str] = {}
    for row in rows:
        question = _question(row)
        key = (question.subject, question.split, question.index)
        if key in files:
            raise InputError(
                f"question {question.index} of {question.subject}, {question.split}: in "
                f"{files[key]}, and again in {row.place}, row {row.number}",
                expected="one copy of the set",
                fix="name the folder of one copy, or drop the other rows",
            )
        files[key] = row.place
        yield question


def _question(row: Row) -> Question:
    """The question in one row's cells. Raises InputError for the first of them that is wrong."""
    cells = row.cells
    choices, answer = cells["choices"], cells["answer"]
    letter = answer.strip() if isinstance(answer, str) else answer
    checks = {
        "subject": isinstance(cells["subject"], str) and _SUBJECT.fullmatch(cells["subject"]),
        "split": cells["split"] in SPLITS,
        "index": isinstance(cells["index"], int),
        "question": _is_filled(cells["question"]),
        "choices": isinstance(choices, list)
        and len(choices) == len(LETTERS)
        and all(map(_is_filled, choices)),
        "answer": letter in tuple(LETTERS),
    }
    for column, is_right in checks.items():
        if not is_right:
            raise malformed(row.place, row.number, f"{column} {cells[column]!r}"[:120])
    return Question(**{**cells, "choices": tuple(choices), "answer": letter})


def _is_filled(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())


def select(questions: Sequence[Question], subjects: Collection[str]) -> list[Question]:
    """The questions of `subjects`; all of them if none is named.

    Raises InputError for a subject without questions.
    """
    known = {question.subject for question in questions}
    for name in subjects:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1) or sorted(known)[:1]
            raise InputError(
                f"subject {name!r}",
                expected=f"one of the set's {len(known)} subjects, such as {near[0]}",
                fix="correct the name",
            )
    return [question for question in questions if not subjects or question.subject in subjects]


def split_shots(
    questions: Sequence[Question], shots: int
) -> tuple[dict[str, list[Question]], dict[str, list[Question]]]:
    """The first `shots` dev questions of each subject, and its test questions.

    Raises InputError for a set without test questions, and for a subject with fewer dev questions
    than `shots`.
    """
    dev: dict[str, list[Question]] = defaultdict(list)
    test: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        if question.split != "val":
            (dev if question.split == "dev" else test)[question.subject].append(question)
    if not test:
        raise InputError(
            f"{len(questions)} questions, none of them in the split test",
            expected="test questions",
            fix="give the whole set",
        )
    for subject in test:
        if len(dev[subject]) < shots:
            raise InputError(
                f"subject {subject}: {len(dev[subject])} dev questions",
                expected=f"at least {shots}, one per shot",
                fix="ask with fewer shots, or add dev questions",
            )
    return {subject: dev[subject][:shots] for subject in test}, dict(test)
