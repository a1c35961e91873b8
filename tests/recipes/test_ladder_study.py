"""Ladder studies: read from YAML, refused with one line that says how to mend them."""

from pathlib import Path

import pytest
from tests.ladders import LADDER

from curricle.core.errors import InputError
from curricle.recipes.loading import load_ladder, load_study


@pytest.fixture
def ladder(tmp_path: Path) -> str:
    path = tmp_path / "ladder.yaml"
    path.write_text(LADDER)
    return str(path)


def test_a_ladder_is_told_from_other_studies_by_its_key(ladder: str, tiny_study: Path) -> None:
    study = load_ladder(ladder)
    assert study.scaling.control == "static"
    assert study.scaling.main_schedule == "wsd"
    with pytest.raises(InputError, match=r"is a ladder.*fix: curricle scale"):
        load_study(ladder)
    with pytest.raises(InputError, match=r"no key scaling.*fix: curricle run"):
        load_ladder(str(tiny_study))


def test_the_shipped_ladder_is_as_large_as_promised() -> None:
    scaling = load_ladder("curriculum-scaling").scaling
    assert len(scaling.sizes) >= 12
    assert len(scaling.curricula) == 3
    assert scaling.seeds == 3
    assert len(scaling.budgets) >= 3
    assert [one.sizes for one in scaling.schedules.values()] == [None, 3]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scaling.curricula.static.arrange=forward", "the static mix first"),
        ("scaling.curricula.progression={arrange: alone}", "arrange alone without a stage"),
        (
            "scaling.curricula.progression={arrange: alone, stage: no}",
            "stage 'no', expected one of",
        ),
        ("scaling.curricula.static.rehearsal=0.1", "arrange mixed with until or rehearsal"),
        ("scaling.budgets=[{tokens: 9, flops: 1e9}]", "a budget given by tokens and flops"),
        ("scaling.budgets=[{}]", "a budget given by nothing"),
        ("scaling.schedules.wsd.sizes=2", "all sizes and budgets under the first schedule"),
        ("scaling.stages.order=[facts, problems]", "the corpus' stages, sentences, facts"),
        ("scaling.fine_tuning.stage=cloze", "fine_tuning: stage 'cloze'"),
        ("scaling.seeds=2", "greater than or equal to 3"),
        ("scaling.budget=1", "unknown key, expected one of batch_size, budgets"),
        ("corpora.made-up.difficulty.people=[1, 9]", r"people \[1, 9\], expected a range within"),
        ("corpora.made-up.stages=[facts, facts]", "each stage once"),
        (
            "corpora.other={source: files, path: x, domain: y}",
            "tokenizer spectrum with other corpora",
        ),
        ("corpora.other={source: spectrum, tokens_per_stage: 9}", "two corpora with source"),
    ],
)
def test_what_a_ladder_cannot_be_is_one_line(ladder: str, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_ladder(ladder, [override])
    assert "\n" not in str(caught.value)
    assert ", fix: " in str(caught.value)
