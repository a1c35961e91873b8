"""Few-shot prompts for multiple choice, in the wording of lm-evaluation-harness.

Two forms are in use. In the *multiple-choice form* (its tasks `mmlu_*`) the prompt lists the
choices and the answer is a letter. In the *cloze form* (`mmlu_*_continuation`) the prompt doesn't
list them and the answer is the right choice's text, so that a model which can't yet match letters
to choices still shows what it knows (arXiv 2406.08446 compares the two).
"""

from collections.abc import Sequence

from curricle.core.questions import LETTERS, Question


def letter_prompt(question: Question, shots: Sequence[Question]) -> str:
    """The multiple-choice form, up to where " A" … " D" are scored."""
    header = f"The following are multiple choice questions (with answers) about {_topic(question)}."
    examples = "".join(f"{ask_letter(shot)} {shot.answer}\n\n" for shot in shots)
    return f"{header}\n\n{examples}{ask_letter(question)}"


def ask_letter(question: Question) -> str:
    """One question of the multiple-choice form, without its answer."""
    choices = "".join(f"{x}. {y}\n" for x, y in zip(LETTERS, question.choices, strict=True))
    return f"{question.question.strip()}\n{choices}Answer:"


def cloze_prompt(question: Question, shots: Sequence[Question]) -> str:
    """The cloze form, up to where a blank and the right choice's text are scored."""
    header = f"The following are questions (with answers) about {_topic(question)}."
    examples = "".join(f"{_ask_text(shot)} {shot.answer_text}\n\n" for shot in shots)
    return f"{header}\n\n{examples}{_ask_text(question)}"


def _ask_text(question: Question) -> str:
    return f"Question: {question.question.strip()}\nAnswer:"


def _topic(question: Question) -> str:
    return question.subject.replace("_", " ")
