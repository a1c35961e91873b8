"""Multiple-choice results against what needs no knowledge: always giving the same letter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc, betaincinv

from curricle.core.errors import InputError
from curricle.core.questions import LETTERS

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class LetterReport:
    """How one model answered one set of questions.

    `predicted` and `gold` count letters; `rates` is the accuracy of always giving each letter and
    `best_letter` the one with the highest. `low` to `high` is the exact (Clopper-Pearson) interval
    of the accuracy at `confidence`. `p_value` is `constant_letter_test`'s, and `above` its verdict
    at 1 - `confidence`. `truncated` is the share of prompts that were cut to fit (None: not known).
    """

    arm: str
    seed: int | None = None
    questions: int
    correct: int
    accuracy: float
    low: float
    high: float
    predicted: Mapping[str, int]
    gold: Mapping[str, int]
    rates: Mapping[str, float]
    best_letter: str
    p_value: float
    above: bool
    confidence: float
    truncated: float | None = None

    @property
    def best_rate(self) -> float:
        """Accuracy of the best constant letter."""
        return self.rates[self.best_letter]


def letter_report(
    arm: str,
    answers: Sequence[str],
    predictions: Sequence[str],
    *,
    seed: int | None = None,
    letters: Sequence[str] = tuple(LETTERS),
    truncated: float | None = None,
    confidence: float = 0.95,
) -> LetterReport:
    """Judge one model's `predictions` against the right `answers`, both as letters.

    Questions answered by several seeds are not independent: judge one model at a time.

    Raises InputError for no questions, unequal lengths or a letter that isn't one of `letters`.
    """
    _check(answers, predictions, letters)
    gold = {letter: sum(answer == letter for answer in answers) for letter in letters}
    rates = {letter: count / len(answers) for letter, count in gold.items()}
    correct = sum(a == p for a, p in zip(answers, predictions, strict=True))
    low, high = accuracy_interval(correct, len(answers), confidence)
    p_value = constant_letter_test(answers, predictions, letters)
    return LetterReport(
        arm=arm,
        seed=seed,
        questions=len(answers),
        correct=correct,
        accuracy=correct / len(answers),
        low=low,
        high=high,
        predicted={letter: sum(p == letter for p in predictions) for letter in letters},
        gold=gold,
        rates=rates,
        best_letter=max(letters, key=lambda letter: rates[letter]),
        p_value=p_value,
        above=p_value <= 1 - confidence,
        confidence=confidence,
        truncated=truncated,
    )


def constant_letter_test(
    answers: Sequence[str], predictions: Sequence[str], letters: Sequence[str] = tuple(LETTERS)
) -> float:
    """Exact p-value of "at least one constant letter is as good as this model".

    Against each letter an exact one-sided McNemar test: of the questions that only one of the two
    gets right, the model's are binomial with one half under the null hypothesis. It is paired,
    since both answer the same questions, whose share of each letter is itself a matter of chance.

    The result is the largest of the four p-values. Being above the baselines means being above
    *every* letter, so the null hypothesis is a union, and a test that demands significance against
    each letter keeps its level without a correction (intersection-union test, Berger 1982). A
    Bonferroni factor belongs where any one of several rejections would do; here it would only cost
    power. Nor is there a selection effect: the best letter isn't chosen and then tested.
    """
    right = np.array(answers) == np.array(predictions)
    return max(_one_sided_mcnemar(right, np.array(answers) == letter) for letter in letters)


def accuracy_interval(correct: int, questions: int, confidence: float) -> tuple[float, float]:
    """The accuracy's exact (Clopper-Pearson) two-sided interval.

    Raises InputError unless 0 <= correct <= questions and questions > 0.
    """
    if not (0 <= correct <= questions and questions > 0):
        raise InputError(
            f"{correct} of {questions} questions right",
            expected="a count up to the number of questions",
            fix="correct the numbers",
        )
    wrong, tail = questions - correct, (1 - confidence) / 2
    low = betaincinv(correct, wrong + 1, tail) if correct else 0.0
    high = betaincinv(correct + 1, wrong, 1 - tail) if wrong else 1.0
    return float(low), float(high)


def at_least(successes: int, trials: int) -> float:
    """P(at least so many heads in so many throws of a fair coin).

    By the incomplete beta function; `scipy.stats` would take a second to import.
    """
    return float(bdtrc(successes - 1, trials, 0.5)) if successes else 1.0


def _one_sided_mcnemar(right_Q: Bools, constant_right_Q: Bools) -> float:
    only_model = int((right_Q & ~constant_right_Q).sum())
    only_constant = int((~right_Q & constant_right_Q).sum())
    return at_least(only_model, only_model + only_constant)


def _check(answers: Sequence[str], predictions: Sequence[str], letters: Sequence[str]) -> None:
    if not answers or len(answers) != len(predictions):
        raise InputError(
            f"{len(predictions)} predictions for {len(answers)} questions",
            expected="one prediction a question, and at least one question",
            fix="evaluate again",
        )
    if foreign := sorted({*answers, *predictions} - set(letters)):
        raise InputError(
            f"letter {foreign[0]!r}",
            expected=f"one of {', '.join(letters)}",
            fix="correct the answers or name all letters",
        )
