"""Accuracies out of a multiple-choice evaluation's rows: by subject and group, and of two models.

Rows are the table that the evaluation writes: `subject`, `index`, `answer`, `prediction`, ….
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.special import ndtri

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

    `difference` with the `standard_error` of its mean over questions and the normal interval `low`
    to `high`; `p_value` is the exact two-sided McNemar test's.
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
    answered the same questions.
    """
    keys = ["subject", "index", "answer"]
    pairs = rows.merge(others, on=keys, suffixes=("", "_other"), validate="one_to_one")
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
    reach = float(ndtri((1 + confidence) / 2)) * error
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    p_value = min(1.0, 2 * at_least(max(wins, losses), wins + losses))
    return PairedAccuracy(size, mean, error, mean - reach, mean + reach, p_value)


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
