"""Accuracies by subject and group, and paired comparisons of two models."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_rel

from curricle.analysis.accuracies import (
    accuracy_by_group,
    accuracy_by_subject,
    accuracy_table,
    compare_accuracies,
)
from curricle.core.errors import InputError
from curricle.core.mmlu_groups import GROUP_OF_SUBJECT, GROUPS


def rows(subject: str, answers: str, predictions: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject": subject,
            "index": range(len(answers)),
            "answer": list(answers),
            "prediction": list(predictions),
        }
    )


def test_subjects_and_groups_are_counted() -> None:
    table = pd.concat(
        [
            rows("virology", "ABCD", "ABDC"),
            rows("anatomy", "AA", "AB"),
            rows("astronomy", "BBB", "BBB"),
            rows("docstrings", "A", "A"),
        ]
    )
    found = {each.name: (each.correct, each.questions) for each in accuracy_by_subject(table)}
    assert found == {
        "anatomy": (1, 2),
        "astronomy": (3, 3),
        "docstrings": (1, 1),
        "virology": (2, 4),
    }
    groups = {each.name: each.accuracy for each in accuracy_by_group(table)}
    assert groups == {"STEM": 1.0, "other": 3 / 6}


def test_mmlus_groups_hold_its_57_subjects() -> None:
    # Counted in the authors' own list, where anatomy is "health" and therefore "other".
    sizes = {group: list(GROUP_OF_SUBJECT.values()).count(group) for group in GROUPS}
    assert sizes == {"STEM": 18, "humanities": 13, "social sciences": 12, "other": 14}


def test_arms_are_averaged_over_seeds_with_one_seeds_interval() -> None:
    seeds = [rows("anatomy", "ABCD", "ABCC"), rows("anatomy", "ABCD", "ACCC")]
    table = accuracy_table({"random": seeds, "learnability": seeds[:1]})
    assert table[["arm", "name"]].to_numpy().tolist() == [
        [arm, name] for arm in ("random", "learnability") for name in ("other", "anatomy")
    ]
    random = table.iloc[0]
    assert (random["questions"], random["accuracy"]) == (4, (3 + 2) / 8)
    interval = binomtest(2, 4).proportion_ci(0.95, method="exact")  # 2.5 right, rounded to even
    assert (random["low"], random["high"]) == pytest.approx((interval.low, interval.high))


def test_a_paired_comparison_equals_the_paired_t_test_and_mcnemar() -> None:
    draw = np.random.default_rng(0)
    answers = "".join(draw.choice(list("ABCD"), 500))
    guesses = draw.choice(list("ABCD"), (2, 500))
    knows = draw.random(500) < 0.2
    first = np.where(knows, list(answers), guesses[0])
    ours, theirs = rows("s", answers, "".join(first)), rows("s", answers, "".join(guesses[1]))
    found = compare_accuracies(ours, theirs.sample(frac=1, random_state=0))
    right = [(table["prediction"] == table["answer"]).to_numpy() for table in (ours, theirs)]
    t = ttest_rel(right[0].astype(float), right[1].astype(float)).statistic
    assert found.difference / found.standard_error == pytest.approx(t)
    wins = int((right[0] & ~right[1]).sum())
    losses = int((~right[0] & right[1]).sum())
    assert found.p_value == pytest.approx(binomtest(wins, wins + losses).pvalue)
    share = binomtest(wins, wins + losses).proportion_ci(0.95, method="exact")
    scale = (wins + losses) / 500
    expected = ((2 * share.low - 1) * scale, (2 * share.high - 1) * scale)
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.verdict == "better"
    assert compare_accuracies(theirs, ours).verdict == "worse"


@pytest.mark.parametrize(("wins", "losses"), [(3, 0), (5, 0), (6, 0), (0, 6), (12, 3), (13, 3)])
def test_the_verdict_is_the_exact_tests(wins: int, losses: int) -> None:
    right, same = "A" * (wins + losses), "B" * 40
    ours = rows("s", right + same, "A" * wins + "C" * losses + same)
    theirs = rows("s", right + same, "C" * wins + "A" * losses + same)
    found = compare_accuracies(ours, theirs)
    rejected = binomtest(wins, wins + losses).pvalue < 0.05
    assert (found.verdict != "cannot tell") == rejected


def test_equal_models_cannot_be_told_apart() -> None:
    table = rows("s", "ABCD", "ABBB")
    found = compare_accuracies(table, table)
    assert (found.difference, found.p_value, found.verdict) == (0.0, 1.0, "cannot tell")
    unseen = binomtest(0, 4).proportion_ci(0.95, method="exact").high
    assert (found.low, found.high) == pytest.approx((-unseen, unseen))


def test_one_question_tells_nothing() -> None:
    found = compare_accuracies(rows("s", "A", "A"), rows("s", "A", "B"))
    assert (found.low, found.high) == pytest.approx((-0.95, 1.0))
    assert (found.standard_error, found.verdict) == (math.inf, "cannot tell")


@pytest.mark.parametrize("others", [rows("s", "ABC", "ABC"), rows("t", "ABCD", "ABCD")])
def test_different_questions_are_refused(others: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="expected two evaluations of the same questions"):
        compare_accuracies(rows("s", "ABCD", "ABCD"), others)


def test_a_question_that_stands_twice_is_refused() -> None:
    table = rows("s", "ABCD", "ABCD")
    twice = pd.concat([table, table])
    with pytest.raises(InputError, match="8 rows, 4 of them for a question that another row has"):
        compare_accuracies(table, twice)
