"""Exact tests against constant letters."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from curricle.analysis.multiple_choice import (
    accuracy_interval,
    at_least,
    constant_letter_test,
    letter_report,
)
from curricle.core.errors import InputError


def test_the_interval_is_clopper_and_pearsons() -> None:
    low, high = accuracy_interval(8, 10, 0.95)
    assert low == pytest.approx(beta.ppf(0.025, 8, 3))
    assert high == pytest.approx(beta.ppf(0.975, 9, 2))


@pytest.mark.parametrize(("correct", "questions"), [(0, 7), (7, 7), (3, 7), (4000, 14042)])
def test_the_interval_and_the_tail_are_scipys(correct: int, questions: int) -> None:
    expected = binomtest(correct, questions, 0.5, alternative="greater")
    interval = binomtest(correct, questions).proportion_ci(0.9, method="exact")
    found = accuracy_interval(correct, questions, 0.9)
    assert found == pytest.approx((interval.low, interval.high))
    assert at_least(correct, questions) == pytest.approx(expected.pvalue)


def test_the_p_value_is_the_worst_letters_tail_summed_by_hand() -> None:
    answers = list("AAAABBBCCD")
    predictions = list("AABABBBCAD")  # right: 3 of A, 3 of B, 1 of C, 1 of D

    def tail(model: int, constant: int) -> float:
        size = model + constant
        return sum(math.comb(size, k) for k in range(model, size + 1)) / 2**size

    # Right where the letter is wrong, and wrong where the letter is right.
    by_letter = [tail(5, 1), tail(5, 0), tail(7, 1), tail(7, 0)]
    assert constant_letter_test(answers, predictions) == pytest.approx(max(by_letter))


@pytest.mark.parametrize("always", list("ABCD"))
def test_a_constant_letter_is_never_above_the_constants(always: str) -> None:
    answers = list("AAAABBBCCD") * 50
    assert constant_letter_test(answers, [always] * 500) == 1.0


def test_guessing_is_called_above_less_often_than_the_level() -> None:
    """Predictions drawn without looking at the answers, from any distribution of letters."""
    draw = np.random.default_rng(0)
    letters = np.array(list("ABCD"))
    above = 0
    for _ in range(400):
        answers = draw.choice(letters, 200, p=[0.23, 0.245, 0.255, 0.27])
        predictions = draw.choice(letters, 200, p=draw.dirichlet(np.ones(4)))
        above += constant_letter_test(answers.tolist(), predictions.tolist()) <= 0.05
    assert above / 400 <= 0.05


def test_mmlus_constant_letters() -> None:
    """The gold letters of MMLU's 14,042 test questions; always D scores 26.89 %."""
    counts = {"A": 3222, "B": 3462, "C": 3582, "D": 3776}
    answers = [letter for letter, count in counts.items() for _ in range(count)]
    report = letter_report("constant", answers, ["D"] * len(answers))
    percentages = {letter: round(100 * rate, 2) for letter, rate in report.rates.items()}
    assert percentages == {"A": 22.95, "B": 24.65, "C": 25.51, "D": 26.89}
    assert (report.best_letter, report.correct) == ("D", 3776)
    assert not report.above
    assert report.predicted == {"A": 0, "B": 0, "C": 0, "D": 14042}


def test_knowing_the_answers_is_above_any_constant() -> None:
    answers = list("ABCD" * 10)
    report = letter_report("oracle", answers, answers, truncated=0.25)
    assert report.above
    assert report.accuracy == report.high == 1.0
    assert report.truncated == 0.25


@pytest.mark.parametrize(
    ("answers", "predictions"), [([], []), (["A"], []), (["A"], ["E"]), (["a"], ["A"])]
)
def test_wrong_answers_are_refused(answers: list[str], predictions: list[str]) -> None:
    with pytest.raises(InputError):
        letter_report("arm", answers, predictions)


@pytest.mark.parametrize(("correct", "questions"), [(3, 2), (0, 0), (-1, 2)])
def test_impossible_counts_are_refused(correct: int, questions: int) -> None:
    with pytest.raises(InputError):
        accuracy_interval(correct, questions, 0.95)
