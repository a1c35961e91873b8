from tests.recipes.made_up import prose, table_of

from curricle.recipes.specs.steps import ExactDedup, QualityFilter, ShuffleWords
from curricle.recipes.steps import apply_steps


def test_steps_follow_one_another_and_each_accounts_for_all_it_sees() -> None:
    documents = table_of({"a": prose(1), "b": prose(1), "c": "too short", "d": prose(2)})
    steps = (
        ExactDedup(step="exact-dedup"),
        QualityFilter(step="quality-filter"),
        ShuffleWords(step="shuffle-words"),
    )
    left, accounts = apply_steps(steps, documents, 0)
    assert left["id"].to_pylist() == ["a", "d"]
    assert accounts == [
        {
            "step": "exact-dedup",
            "seen": 4,
            "kept": 3,
            "dropped": {"exact-duplicate": {"prose": 1}},
        },
        {"step": "quality-filter", "seen": 3, "kept": 2, "dropped": {"few-words": {"prose": 1}}},
        {"step": "shuffle-words", "seen": 2, "kept": 2, "dropped": {}},
    ]


def test_no_steps_leave_everything() -> None:
    documents = table_of({"a": "x"})
    assert apply_steps((), documents, 0) == (documents, [])
