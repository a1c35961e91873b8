"""Exact tests against constant letters."""

import math

import pytest
from scipy.stats import beta

from curricle.analysis.multiple_choice import exact_test, letter_report
from curricle.core.errors import InputError


def test_p_value_is_the_binomial_tail_summed_by_hand() -> None:
    p, low, high = exact_test(8, 10, 0.3)
    tail = sum(math.comb(10, k) * 0.3**k * 0.7 ** (10 - k) for k in range(8, 11))
    assert p == pytest.approx(tail)
    assert low == pytest.approx(beta.ppf(0.025, 8, 3))
    assert high == pytest.approx(beta.ppf(0.975, 9, 2))


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


@pytest.mark.parametrize(("correct", "questions", "rate"), [(3, 2, 0.5), (0, 0, 0.5), (1, 2, 1.5)])
def test_impossible_counts_are_refused(correct: int, questions: int, rate: float) -> None:
    with pytest.raises(InputError):
        exact_test(correct, questions, rate)
