"""Accuracies out of a multiple-choice evaluation's rows: by subject and group, and of two models.

Rows are the table that the evaluation writes: `subject`, `index`, `answer`, `prediction`, ….
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from curricle.analysis.multiple_choice import accuracy_interval, at_least
from curricle.core.errors import InputError
from curricle.core.mmlu_groups import GROUP_OF_SUBJECT, GROUPS


@dataclass(frozen=True)
class SubjectAccuracy:
    """Accuracy on one subject, or on a group of subjects, with its exact interval."""

    name: str
    questions: int
    correct: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedAccuracy:
    """How much more accurate one model is than another on the same questions.

    `difference` with the `standard_error` of its mean over questions, and the exact interval `low`
    to `high` given how many questions only one of the two gets right: it leaves zero out if and
    only if the exact two-sided McNemar test, with its `p_value`, rejects.
    """

    questions: int
    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `cannot tell`: where the interval lies."""
        if self.low <= 0 <= self.high:
            return "cannot tell"
        return "better" if self.difference > 0 else "worse"


def accuracy_by_subject(rows: pd.DataFrame, confidence: float = 0.95) -> list[SubjectAccuracy]:
    """An entry for each subject, by name."""
    return _accuracies(rows, rows["subject"], sorted(set(rows["subject"])), confidence)


def accuracy_by_group(rows: pd.DataFrame, confidence: float = 0.95) -> list[SubjectAccuracy]:
    """An entry for each group in which MMLU's authors put its subjects.

    Subjects that aren't MMLU's, and groups without questions, are left out.
    """
    return _accuracies(rows, rows["subject"].map(GROUP_OF_SUBJECT), GROUPS, confidence)


def accuracy_table(tables: Mapping[str, Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """Accuracies of arms by group and subject: arm, name, questions, accuracy, low, high.

    Each arm's tables are its seeds' rows on the same questions. The accuracy is the mean over
    seeds; the interval is over questions, as wide as for one seed, since seeds share them.
    """
    entries = []
    for arm, seeds in tables.items():
        for kind in (accuracy_by_group, accuracy_by_subject):
            for found in zip(*(kind(rows) for rows in seeds), strict=True):
                questions = found[0].questions
                accuracy = sum(entry.accuracy for entry in found) / len(found)
                low, high = accuracy_interval(round(accuracy * questions), questions, 0.95)
                entries.append((arm, found[0].name, questions, accuracy, low, high))
    return pd.DataFrame(entries, columns=["arm", "name", "questions", "accuracy", "low", "high"])


def compare_accuracies(
    rows: pd.DataFrame, others: pd.DataFrame, confidence: float = 0.95
) -> PairedAccuracy:
    """The model that gave `rows` against the one that gave `others`, question by question.

    The questions that both get right or both get wrong don't count towards the error, which is why
    the paired interval is narrower than two separate ones suggest. Raises InputError unless both
    answered the same questions, each once.
    """
    keys = ["subject", "index", "answer"]
    for table in (rows, others):
        if repeated := int(table.duplicated(keys).sum()):
            raise InputError(
                f"{len(table)} rows, {repeated} of them for a question that another row has",
                expected="one row a question",
                fix="evaluate again, on one copy of the questions",
            )
    pairs = rows.merge(others, on=keys, suffixes=("", "_other"))
    if not len(rows) == len(others) == len(pairs) > 0:
        raise InputError(
            f"{len(rows)} and {len(others)} questions, {len(pairs)} of them the same",
            expected="two evaluations of the same questions",
            fix="evaluate both models on the same data and subjects",
        )
    right = (pairs["prediction"] == pairs["answer"]).astype(int)
    difference = right - (pairs["prediction_other"] == pairs["answer"]).astype(int)
    mean, size = float(difference.mean()), len(pairs)
    error = float(difference.std(ddof=1)) / math.sqrt(size) if size > 1 else math.inf
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    p_value = min(1.0, 2 * at_least(max(wins, losses), wins + losses))
    low, high = _difference_interval(wins, losses, size, confidence)
    return PairedAccuracy(size, mean, error, low, high, p_value)


def _difference_interval(
    wins: int, losses: int, questions: int, confidence: float
) -> tuple[float, float]:
    """Of (wins - losses) / questions: of the share of wins, exactly, by what the two differ in.

    Models that never differ may still do so on as many questions as a share that wasn't met in so
    many can be.
    """
    told = wins + losses
    if not told:
        most = accuracy_interval(0, questions, confidence)[1]
        return -most, most
    low, high = accuracy_interval(wins, told, confidence)
    return (2 * low - 1) * told / questions, (2 * high - 1) * told / questions


def _accuracies(
    rows: pd.DataFrame, labels: "pd.Series[str]", names: Sequence[str], confidence: float
) -> list[SubjectAccuracy]:
    right = rows["prediction"] == rows["answer"]
    entries = []
    for name in names:
        chosen = right[labels == name]
        if len(chosen):
            correct = int(chosen.sum())
            low, high = accuracy_interval(correct, len(chosen), confidence)
            entry = SubjectAccuracy(name, len(chosen), correct, correct / len(chosen), low, high)
            entries.append(entry)
    return entries
