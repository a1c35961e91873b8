import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.tasks.making import session_of

from curricle.core.store import Artifact, Store
from curricle.recipes.loading import load_study
from curricle.tasks.documents import DocumentsStep, MeasurementStep
from curricle.tasks.dropped import dropped_of, render_dropped
from curricle.tasks.plan import StudyPlan
from curricle.tasks.step import Step, with_inputs

COPIES = {"step": "duplicate-documents"}


def near(threshold: float, **settings: object) -> dict[str, object]:
    return {"step": "minhash-dedup", "threshold": threshold, **settings}


RECIPES = {
    "untouched": {},
    "near-70": {"steps": [COPIES, near(0.7)]},
    "near-80": {"steps": [COPIES, near(0.8)]},
    "near-90": {"steps": [COPIES, near(0.9)]},
    "banded": {"steps": [COPIES, near(0.7, bands=14, rows=8, verify=False)]},
    "low": {"steps": [{"step": "bucket", "by": "mtld", "upper": 0.5}]},
    "high": {"steps": [{"step": "bucket", "by": "mtld", "lower": 0.5}]},
}


@pytest.fixture
def study(tiny_study: Path) -> Path:
    """A study of recipes that begin alike; its corpus is a few files of text."""
    yaml = YAML(typ="safe")
    content = yaml.load(tiny_study)
    folder = tiny_study.parent / "texts"
    folder.mkdir()
    for number in range(40):
        words = [f"word{(number * 7 + place * place) % 900}" for place in range(120)]
        (folder / f"{number:02}.txt").write_text(" ".join(words) + ".\n")
    content["store"] = str(tiny_study.parent / "store")
    content["corpora"] = {"texts": {"source": "files", "path": str(folder), "domain": "prose"}}
    content["recipes"] = RECIPES
    content["target"]["confirm"] = 2
    with tiny_study.open("w") as stream:
        yaml.dump(content, stream)
    return tiny_study


def build(step: Step, inputs: Mapping[str, Path], folder: Path) -> Mapping[str, Any] | None:
    return step.build(session_of(), inputs, folder)


def make(plan: StudyPlan, store: Store) -> list[Step]:
    """Make the recipes' documents as the flow does, but one by one; the steps that were made."""
    made = []
    steps = [dataset.documents for dataset in plan.preparation.datasets.values()]
    for step in with_inputs(steps):
        if not store.exists(step.artifact):
            made.append(step)
            inputs = {role: store.folder(item.artifact) for role, item in step.inputs.items()}
            store.produce(step.request, functools.partial(build, step, inputs))
    return made


def test_what_recipes_share_is_computed_once(study: Path) -> None:
    plan = StudyPlan(load_study(str(study)))
    store = Store(plan.study.store)
    made = make(plan, store)
    measured = [step.measurement.measure for step in made if isinstance(step, MeasurementStep)]
    # Four strengths of one method, two halves by one statistic.
    assert sorted(measured) == ["signatures", "statistics"]
    applied = [step.step.step for step in made if isinstance(step, DocumentsStep)]
    assert applied.count("duplicate-documents") == 1
    assert applied.count("minhash-dedup") == 4
    assert make(plan, store) == []
    kept = {
        name: store.facts(dataset.documents.artifact)["kept"]
        for name, dataset in plan.preparation.datasets.items()
        if name.startswith("near")
    }
    assert kept["near-70"] <= kept["near-80"] <= kept["near-90"]


def test_settings_of_a_step_are_identity_and_names_of_recipes_arent(study: Path) -> None:
    def artifacts(*overrides: str) -> dict[str, Artifact]:
        plan = StudyPlan(load_study(str(study), overrides))
        return {name: dataset.artifact for name, dataset in plan.preparation.datasets.items()}

    before = artifacts()
    after = artifacts("recipes.near-80.steps=[{step: duplicate-documents, share: 0.31}]")
    assert before["near-80"] != after["near-80"]
    assert {name for name in before if before[name] != after[name]} == {"near-80"}
    assert len(set(before.values())) == len(RECIPES)


def test_named_texts_are_identity_by_content_not_by_place(study: Path, tmp_path: Path) -> None:
    def artifact(folder: Path) -> Artifact:
        source = f"{{source: files, path: {folder}, domain: x}}"
        step = f"recipes.low.steps=[{{step: decontaminate, against: [{source}]}}]"
        plan = StudyPlan(load_study(str(study), [step]))
        return plan.preparation.datasets["low"].artifact

    for name, text in (("one", "same text"), ("two", "same text"), ("three", "other text")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(text)
    assert artifact(tmp_path / "one") == artifact(tmp_path / "two")
    assert artifact(tmp_path / "one") != artifact(tmp_path / "three")


def test_what_a_recipe_dropped_is_shown_with_value_and_threshold(study: Path) -> None:
    plan = StudyPlan(load_study(str(study)))
    store = Store(plan.study.store)
    make(plan, store)
    copies, near_dedup = dropped_of(plan, store, "near-90", None, count=2)
    assert copies.dropped == {}
    assert near_dedup.dropped["near-duplicate"] > 2
    assert len(near_dedup.examples) == 2
    text = render_dropped([near_dedup])
    first = near_dedup.examples[0]
    assert first["id"] in text
    assert "threshold 0.9" in text
    assert f"kept: {first['kept']}" in text
    everything = dropped_of(plan, store, "near-90", "near-duplicate", count=0)
    assert len(everything[0].examples) == near_dedup.dropped["near-duplicate"]
