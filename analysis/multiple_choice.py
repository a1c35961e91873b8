"""Multiple-choice results against what needs no knowledge: always giving the same letter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from curricle.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LetterReport:
    """How one model answered one set of questions.

    `predicted` and `gold` count letters; `rates` is the accuracy of always giving each letter and
    `best_letter` the one with the highest. `low` to `high` is the exact (Clopper-Pearson) interval
    of the accuracy at `confidence`. `p_value` is the exact one-sided binomial test of "no better
    than the best constant letter", and `above` its verdict at 1 - `confidence`. `truncated` is the
    share of prompts that were cut to fit, None if not known.
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
    letters: Sequence[str] = ("A", "B", "C", "D"),
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
    best = max(letters, key=lambda letter: rates[letter])
    p_value, low, high = exact_test(correct, len(answers), rates[best], confidence=confidence)
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
        best_letter=best,
        p_value=p_value,
        above=p_value <= 1 - confidence,
        confidence=confidence,
        truncated=truncated,
    )


def exact_test(
    correct: int, questions: int, rate: float, *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """P(at least `correct` of `questions` right by guessing right at `rate`), and the accuracy's
    exact two-sided interval (low, high) at `confidence`.

    Raises InputError unless 0 <= correct <= questions, questions > 0 and 0 <= rate <= 1.
    """
    if not (0 <= correct <= questions and questions > 0 and 0 <= rate <= 1):
        raise InputError(
            f"{correct} of {questions} questions right against a rate of {rate}",
            expected="a count up to the number of questions, and a rate from 0 to 1",
            fix="correct the numbers",
        )
    interval = binomtest(correct, questions).proportion_ci(confidence, method="exact")
    p_value = binomtest(correct, questions, rate, alternative="greater").pvalue
    return float(p_value), float(interval.low), float(interval.high)


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
