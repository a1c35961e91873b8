"""Multiple-choice questions in MMLU's layout, shared by those who make and those who ask them.

A folder or `.tar.gz` holds `{dev,val,test}/<subject>_<split>.csv`, also below folders such as
`data/`; rows without a header: question, four choices, answer letter. A Parquet file holds the
columns `subject`, `split`, `index`, `question`, `choices` (list of four) and `answer`. An archive
is read in memory and never unpacked, so paths in it can't escape anywhere.
"""

import csv
import io
import re
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import InputError

SPLITS = ("dev", "val", "test")
LETTERS = "ABCD"
COLUMNS = ("subject", "split", "index", "question", "choices", "answer")

_SUBJECT = re.compile(r"[^/.][^/]*")
_MEMBER = re.compile(r"(?:^|/)(dev|val|test)/([^/.][^/]*)_\1\.csv$")


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


def read_questions(path: Path) -> list[Question]:
    """All questions of a folder, `.tar.gz` or Parquet file, sorted by subject, split and index.

    Raises InputError, naming file and row, for whatever isn't in that layout.
    """
    if not path.exists():
        raise InputError(
            f"questions {path}: does not exist",
            expected="a folder, .tar.gz or .parquet file in MMLU's layout",
            fix="correct the path",
        )
    try:
        questions = list(_reader(path))
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


def _reader(path: Path) -> Iterator[Question]:
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    return _read_archive(path)


def _read_folder(folder: Path) -> Iterator[Question]:
    for file in sorted(folder.rglob("*.csv")):
        match = _MEMBER.search(file.relative_to(folder).as_posix())
        if match:
            yield from _parse_csv(str(file), match[2], match[1], file.read_bytes())


def _read_archive(path: Path) -> Iterator[Question]:
    with tarfile.open(path) as archive:
        for member in archive:
            match = _MEMBER.search(member.name)
            if match and member.isreg():
                stream = archive.extractfile(member)
                assert stream is not None
                place = f"{path}:{member.name}"
                yield from _parse_csv(place, match[2], match[1], stream.read())


def _parse_csv(place: str, subject: str, split: str, content: bytes) -> Iterator[Question]:
    row = 0
    try:
        lines = io.StringIO(content.decode("utf-8-sig"), newline="")
        for row, cells in enumerate(csv.reader(lines), start=1):
            if len(cells) != 2 + len(LETTERS):
                raise _malformed(place, row, f"{len(cells)} cells")
            values = (subject, split, row - 1, cells[0], cells[1:5], cells[5])
            yield _question(place, row, dict(zip(COLUMNS, values, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _malformed(place, row + 1, str(error)) from None


def _read_parquet(path: Path) -> Iterator[Question]:
    table = pq.read_table(path)
    missing = sorted(set(COLUMNS) - set(table.column_names))
    if missing:
        raise InputError(
            f"questions {path}: no column {missing[0]!r}",
            expected=f"columns {', '.join(COLUMNS)}",
            fix="rename or add it",
        )
    for row, cells in enumerate(table.select(COLUMNS).to_pylist(), start=1):
        yield _question(str(path), row, cells)


def _question(place: str, row: int, cells: Mapping[str, Any]) -> Question:
    """The question in one row's cells. Raises InputError for the first of them that is wrong."""
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
            raise _malformed(place, row, f"{column} {cells[column]!r}"[:120])
    return Question(**{**cells, "choices": tuple(choices), "answer": letter})


def _is_filled(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _malformed(place: str, row: int, problem: str) -> InputError:
    return InputError(
        f"{place}, row {row}: {problem}",
        expected="question, four choices, answer letter A to D",
        fix="mend that row",
    )


def split_shots(
    questions: Sequence[Question], shots: int
) -> tuple[dict[str, list[Question]], list[Question]]:
    """Dev questions by subject, and all test questions.

    Raises InputError for a subject with fewer dev questions than `shots`.
    """
    dev: dict[str, list[Question]] = defaultdict(list)
    test = [question for question in questions if question.split == "test"]
    for question in questions:
        if question.split == "dev":
            dev[question.subject].append(question)
    for subject in sorted({question.subject for question in test}):
        if len(dev[subject]) < shots:
            raise InputError(
                f"subject {subject}: {len(dev[subject])} dev questions",
                expected=f"at least {shots}, one per shot",
                fix="lower multiple_choice.shots, or add dev questions",
            )
    return dev, test
