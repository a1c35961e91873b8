from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.recipes.made_up import prose, table_of

from curricle.core.questions import Question, read_questions
from curricle.recipes.documents import write_documents
from curricle.recipes.questions import build_questions
from curricle.recipes.summaries import Summary, write_summaries


def _summaries(subject: str, count: int) -> list[Summary]:
    return [
        Summary(subject, f"{subject}_{number}", f"Does {subject} thing {number}", "x")
        for number in range(count)
    ]


def _build(
    folder: Path, summaries: Sequence[Summary], count: int, seed: int = 0, train: str = ""
) -> tuple[dict[str, object], list[Question]]:
    folder.mkdir()
    write_documents(folder / "train.parquet", table_of({"a": prose(1) + train}))
    write_summaries(folder / "summaries.parquet", summaries)
    (folder / "questions").mkdir()
    facts = build_questions(folder, count, seed, folder / "questions")
    return facts, read_questions(folder / "questions") if facts["test"] else []


def test_questions_are_balanced_and_right(tmp_path: Path) -> None:
    sizes = {"alpha": 90, "beta": 40, "gamma": 25, "tiny": 14}
    summaries = [one for subject, size in sizes.items() for one in _summaries(subject, size)]
    facts, questions = _build(tmp_path / "q", summaries, 150)
    described = {one.sentence: one for one in summaries}
    test = [one for one in questions if one.split == "test"]
    assert facts == {
        "dev": 15,
        "test": len(test),
        "subjects": Counter(one.subject for one in test),
        "note": "held-out docstrings suffice for 140 of 150 questions",
    }
    # All but five of each subject's summaries; the subject with 14 is too small.
    assert facts["subjects"] == {"alpha": 85, "beta": 35, "gamma": 20}
    for one in questions:
        summary = described[one.question]
        assert one.choices[one.answer_index] == summary.name
        assert len(set(one.choices)) == 4
        assert one.subject == summary.subject
        assert all(choice.startswith(one.subject) for choice in one.choices)
    for split in ("dev", "test"):
        counts = Counter(one.answer for one in questions if one.split == split)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_dev_and_test_questions_are_distinct_and_five_dev_stand_for_each_subject(
    tmp_path: Path,
) -> None:
    _, questions = _build(tmp_path / "q", _summaries("a", 30), 10)
    assert len({one.question for one in questions}) == len(questions) == 15
    assert [(one.split, one.index) for one in questions] == [
        *(("dev", index) for index in range(5)),
        *(("test", index) for index in range(10)),
    ]


def test_exactly_as_many_as_asked_for(tmp_path: Path) -> None:
    summaries = [one for subject in "abcdefgh" for one in _summaries(subject, 40)]
    facts, questions = _build(tmp_path / "q", summaries, 33)
    assert sum(one.split == "test" for one in questions) == facts["test"] == 33
    assert facts["subjects"] == dict.fromkeys("abc", 11)
    assert facts["note"] is None


def test_the_seed_draws_the_choices(tmp_path: Path) -> None:
    built = [
        _build(tmp_path / name, _summaries("a", 40), 20, seed)[1]
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    ]
    assert built[0] == built[1] != built[2]


def test_what_stands_in_the_training_text_or_twice_isnt_asked(tmp_path: Path) -> None:
    summaries = _summaries("a", 16)
    same_name = Summary("a", "a_0", "Does another thing altogether", "x")
    same_sentence = Summary("a", "a_other", "Does a thing 1", "x")
    train = 'def f():\n    """Does a\n    thing 5."""\n'
    facts, questions = _build(
        tmp_path / "q", [*summaries, same_name, same_sentence], 10, train=train
    )
    asked = {one.question for one in questions}
    assert asked == {one.sentence for one in summaries} - {"Does a thing 5"}
    assert facts["test"] == 10


@pytest.mark.parametrize(
    ("count", "note"),
    [
        (0, "the corpora have no python-environment with held-out docstrings"),
        (14, "held-out docstrings suffice for 0 of 10 questions"),
    ],
)
def test_without_enough_summaries_there_are_no_questions(
    tmp_path: Path, count: int, note: str
) -> None:
    facts, _ = _build(tmp_path / "q", _summaries("a", count), 10)
    assert facts == {"dev": 0, "test": 0, "subjects": {}, "note": note}
