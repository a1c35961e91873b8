"""The report's part about multiple choice."""

import pandas as pd

from curricle.analysis.multiple_choice import letter_report
from curricle.analysis.report.markup import join
from curricle.analysis.report.multiple_choice import multiple_choice_part

REPORT = letter_report("random", list("ABCD" * 25), ["D"] * 100, seed=3, truncated=0.38)


def test_a_model_that_knows_nothing_is_said_not_to() -> None:
    page = join(multiple_choice_part([REPORT], None))
    assert "A 25.0 %, B 25.0 %, C 25.0 %, D 25.0 %" in page
    assert "cannot tell" in page
    assert "38 %" in page


def test_subjects_are_shown_per_arm_with_intervals() -> None:
    table = pd.DataFrame(
        [
            ("random", "formal_logic", 126, 0.25, 0.177, 0.335),
            ("learnability", "formal_logic", 126, 0.5, 0.409, 0.590),
            ("random", "anatomy", 135, 0.2, 0.136, 0.277),
        ],
        columns=["arm", "name", "questions", "accuracy", "low", "high"],
    )
    page = join(multiple_choice_part([REPORT], table))
    assert "formal logic" in page
    assert "25.0 % (17.7 % to 33.5 %)" in page
    assert "50.0 % (40.9 % to 59.0 %)" in page
    assert page.index("formal logic") < page.index("anatomy")


def test_without_models_there_is_nothing() -> None:
    assert multiple_choice_part([], None) == []
