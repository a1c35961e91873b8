from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.recipes.made_up import apply, prose, step_of, table_of

from curricle.core.errors import InputError
from curricle.recipes.specs.rules import Rule
from curricle.recipes.steps.rules import broken_rules

PAGE = "".join(prose(seed, 60).replace("the", "and") + f"The and of {seed}.\n" for seed in (1, 2))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PAGE, None),
        ("two words", "minimum-words"),
        ("word " * 100_001, "maximum-words"),
        ("a I " * 100, "minimum-mean-word-length"),
        ("extraordinarily " * 100, "maximum-mean-word-length"),
        (PAGE + "# " * 60, "maximum-hashes-per-word"),
        (PAGE.replace(".", "..."), "maximum-ellipsis-line-share"),
        ("- " + PAGE.replace("\n", "\n- ").removesuffix("- "), "maximum-bullet-line-share"),
        (PAGE + "123 " * 40, "minimum-alphabetic-word-share"),
        ("some words without any function " * 20, "minimum-stop-words"),
    ],
)
def test_gophers_quality_rules(text: str, reason: str | None) -> None:
    applied = apply(step_of(step="gopher-quality"), table_of({"it": text, "other": PAGE}))
    assert applied.reasons.get("it") == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PAGE, None),
        ("\n\n".join(["p"] * 4 + [PAGE]), "maximum-duplicate-paragraph-share"),
        (f"{PAGE}\n\n" * 2, "maximum-duplicate-paragraph-share"),
        ("x\n" * 20 + PAGE, "maximum-duplicate-line-share"),
        (PAGE.replace(" ", " spam and "), "maximum-top-2-gram-character-share"),
        (
            PAGE.replace("\n", " ") + PAGE.replace("\n", ""),
            "maximum-duplicate-5-gram-character-share",
        ),
    ],
)
def test_gophers_repetition_rules(text: str, reason: str | None) -> None:
    applied = apply(step_of(step="gopher-repetition"), table_of({"it": text, "other": PAGE}))
    assert applied.reasons.get("it") == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PAGE, None),
        (PAGE.replace(".", ""), "minimum-punctuated-line-share"),
        ("Short one.\n" + "\n".join(f"Line {n}." for n in range(20)), "maximum-short-line-share"),
        (f"{PAGE}{PAGE.splitlines()[0]}\n", "maximum-repeated-line-character-share"),
        ("\n\n\n\n".join(PAGE.splitlines()), "maximum-newlines-per-word"),
    ],
)
def test_finewebs_rules(text: str, reason: str | None) -> None:
    applied = apply(step_of(step="fineweb"), table_of({"it": text, "other": PAGE}))
    assert applied.reasons.get("it") == reason


def test_null_switches_a_rule_off_and_no_rule_at_all_is_refused() -> None:
    documents = table_of({"it": "two words", "other": PAGE})
    settings = {"minimum_words": None, "minimum_stop_words": None}
    assert apply(step_of(step="gopher-quality", **settings), documents).ids == ["it", "other"]
    with pytest.raises(ValueError, match="a filter without limits"):
        step_of(step="length")


def test_the_first_broken_rule_counts_and_limits_themselves_pass() -> None:
    rules = (
        Rule("minimum-x", "x", 2.0, is_minimum=True),
        Rule("maximum-y", "y", 5.0, is_minimum=False),
    )
    columns = {"x": np.array([1.0, 2.0, 1.0, 3.0]), "y": np.array([9.0, 5.0, 0.0, 5.1])}
    drops = broken_rules(rules, columns)
    assert [drop and (drop.reason, drop.value, drop.threshold) for drop in drops] == [
        ("minimum-x", 1.0, 2.0),
        None,
        ("minimum-x", 1.0, 2.0),
        ("maximum-y", 5.1, 5.0),
    ]


def test_buckets_have_the_size_they_are_asked_for() -> None:
    texts = {f"{number:02}": "word " * (1 + number // 2) for number in range(30)}
    documents = pa.concat_tables([table_of(texts, "x"), table_of({"z": "word " * 99}, "y")])
    thirds = [
        apply(step_of(step="bucket", by="words", lower=lower, upper=upper), documents)
        for lower, upper in ((0, 0.5), (0.5, 0.8), (0.8, 1))
    ]
    assert [len([one for one in third.ids if one != "z"]) for third in thirds] == [15, 9, 6]
    assert sorted(one for third in thirds for one in third.ids) == sorted([*texts, "z"])
    # Of the two documents with 8 words the one with the smaller id belongs to the first half.
    assert "14" in thirds[0].ids
    dropped = {example.id: example for example in thirds[1].dropped}
    assert (dropped["14"].reason, dropped["14"].value, dropped["14"].threshold) == (
        "below-bucket",
        8.0,
        8.0,
    )
    assert dropped["29"].reason == "above-bucket"
    overall = apply(step_of(step="bucket", by="words", lower=0.97, scope="all"), documents)
    assert overall.ids == ["z"]


def test_a_bucket_by_an_unknown_statistic_or_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="statistic 'wit'"):
        step_of(step="bucket", by="wit")
    with pytest.raises(ValueError, match="lower 0.5, upper 0.5"):
        step_of(step="bucket", by="mtld", lower=0.5, upper=0.5)


@pytest.fixture
def named(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Sources of good and bad texts."""
    sources = {}
    for name, texts in {
        "good": [prose(seed, 50) for seed in range(30)],
        "bad": [f"click here buy now cheap offer {seed} " * 12 for seed in range(30)],
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for index, text in enumerate(texts):
            (folder / f"{index}.txt").write_text(text)
        sources[name] = {"source": "files", "path": str(folder), "domain": name}
    return sources


def test_a_classifier_tells_good_from_bad(named: dict[str, dict[str, str]]) -> None:
    classifier = {"good": (named["good"],), "bad": (named["bad"],), "features": 4096}
    texts = {f"good{seed}": prose(100 + seed, 60) for seed in range(8)}
    texts |= {f"spam{seed}": "buy cheap click here offer now " * 8 for seed in range(8)}
    step = step_of(step="quality-classifier", classifier=classifier)
    applied = apply(step, table_of(texts))
    assert all(one.startswith("good") for one in applied.ids)
    assert len(applied.ids) == 8
    assert {example.reason for example in applied.dropped} == {"minimum-good"}
    assert apply(step, table_of(texts)).dropped == applied.dropped
    half = apply(step_of(step="bucket", by=classifier, lower=0.5), table_of(texts))
    assert half.ids == applied.ids


def test_shared_ngrams_contaminate(named: dict[str, dict[str, str]]) -> None:
    question = " ".join(prose(3, 50).split()[10:30])
    texts = {"clean": prose(500, 100), "dirty": f"{prose(600)} {question} {prose(700)}"}
    applied = apply(
        step_of(step="decontaminate", against=(named["good"],), ngram=13), table_of(texts)
    )
    assert applied.ids == ["clean"]
    (example,) = applied.dropped
    assert (example.reason, example.value, example.threshold) == ("maximum-shared-ngrams", 8, 0)
    lenient = step_of(step="decontaminate", against=(named["good"],), maximum_shared_ngrams=8)
    assert apply(lenient, table_of(texts)).ids == ["clean", "dirty"]


def test_decontamination_needs_long_enough_texts(named: dict[str, dict[str, str]]) -> None:
    step = step_of(step="decontaminate", against=(named["good"],), ngram=100)
    with pytest.raises(InputError, match="none of 30 texts has 100 words"):
        apply(step, table_of({"a": prose(1)}))
    with pytest.raises(ValueError, match="decontaminate without texts"):
        step_of(step="decontaminate")
