"""The wording of prompts, as lm-evaluation-harness's `mmlu` and `mmlu_continuation` have it."""

from curricle.core.questions import Question
from curricle.models.prompts import cloze_prompt, letter_prompt

SUBJECT = "high_school_sums"
DEV = Question(SUBJECT, "dev", 0, "What is 0 plus one? ", ("1", "2", "3", "4"), "A")
TEST = Question(SUBJECT, "test", 0, " What is 1 plus one?", ("1", "2", "3", "4"), "B")


def test_the_multiple_choice_form() -> None:
    assert letter_prompt(TEST, [DEV]) == (
        "The following are multiple choice questions (with answers) about high school sums.\n\n"
        "What is 0 plus one?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: A\n\n"
        "What is 1 plus one?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
    )


def test_the_cloze_form_lists_no_choices() -> None:
    assert cloze_prompt(TEST, [DEV]) == (
        "The following are questions (with answers) about high school sums.\n\n"
        "Question: What is 0 plus one?\nAnswer: 1\n\n"
        "Question: What is 1 plus one?\nAnswer:"
    )
