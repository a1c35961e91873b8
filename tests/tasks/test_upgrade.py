"""What is told of, and done after, an upgrade of the code between two halves of a study."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Curricle
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.store import Store
from curricle.recipes.loading import load_study
from curricle.tasks.corpus import TokenizerStep
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.order import RandomOrderStep
from curricle.tasks.overview import overview, render_overview
from curricle.tasks.plan import StudyPlan
from curricle.tasks.upgrade import FROM_INPUTS, Upgrade

Planned = Callable[..., StudyPlan]


@pytest.fixture
def planned(tiny_study: Path, tmp_path: Path) -> Planned:
    """The tiny study, laid out by the code as it is when this is called."""
    texts = "".join(json.dumps({"text": prose(seed, 150)}) + "\n" for seed in range(40))
    (tmp_path / "corpus.jsonl").write_text(texts)
    source = f"{{mine: {{source: files, path: {tmp_path / 'corpus.jsonl'}, domain: mine}}}}"
    fixed = [f"corpora={source}", f"store={tmp_path / 'store'}", "evaluation.multiple_choice=null"]

    def plan(*overrides: str) -> StudyPlan:
        return StudyPlan(load_study(str(tiny_study), [*fixed, *overrides]))

    return plan


@pytest.fixture
def store(planned: Planned, tmp_path: Path) -> Store:
    """With what the code as it is prepares, and the orders of the proxies."""
    store, plan = Store(str(tmp_path / "store")), planned()
    make(store, [*plan.preparation.steps, *(run.order for run in plan.ranking.runs()[:6])])
    return store


def reasons(plan: StudyPlan, store: Store) -> Counter[str]:
    steps = [step for steps in plan.layout(store).values() for step in steps]
    missing = [step for step in steps if not store.exists(step.artifact)]
    return Counter(Upgrade(store).reasons(missing).values())


def test_without_an_upgrade_nothing_is_made_anew(planned: Planned, store: Store) -> None:
    assert reasons(planned(), store) == {}
    assert reasons(planned("tokenizer.vocabulary_size=300"), store) == {}, "the user's own change"


def test_what_a_new_version_makes_anew_is_told_from_what_is_kept(
    planned: Planned, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = len({run.order.artifact for run in planned().ranking.runs()[:6]})
    before = sorted(store.artifacts())
    now = DatasetStep.version + 1
    monkeypatch.setattr(DatasetStep, "version", now)
    plan = planned()
    own = f"`prepare recipe`, version {now - 1}, now {now}"
    datasets = {step.artifact for step in plan.preparation.datasets.values()}
    assert reasons(plan, store) == {own: len(datasets) + 1, FROM_INPUTS: orders}
    assert store.exists(plan.preparation.corpus.artifact)
    assert store.exists(plan.preparation.tokenizer.artifact)
    text = render_overview(plan.study, overview(plan.study))
    told = f"{len(datasets) + 1} of {own}, {orders} of {FROM_INPUTS}; the rest is kept"
    assert f"artifacts that other versions of the code made, anew: {told}" in text
    make(store, plan.preparation.steps)
    assert reasons(plan, store) == {FROM_INPUTS: orders}
    assert set(before) < set(store.artifacts()), "what the other version made stays until gc"


def test_versions_far_up_are_found_and_the_nearest_one_is_told(
    planned: Planned, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (2, 3):
        monkeypatch.setattr(TokenizerStep, "version", version)
        if version == 2:
            make(store, planned().preparation.steps)
    found = reasons(planned(), store)
    assert found["`train tokenizer`, version 2, now 3"] == 1
    assert found[FROM_INPUTS] > 3


def test_a_new_version_may_have_other_settings(
    planned: Planned, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: Any = RandomOrderStep.spec
    wider = property(lambda self: {**spec.fget(self), "block": 1})
    monkeypatch.setattr(RandomOrderStep, "spec", wider)
    assert reasons(planned(), store) == {}
    monkeypatch.setattr(RandomOrderStep, "version", 2)
    assert set(reasons(planned(), store)) == {"`order`, version 1, now 2"}


UPGRADED = "from curricle.tasks.dataset import DatasetStep\nDatasetStep.version = 99\n"


def test_a_run_and_the_status_tell_the_difference(
    curricle: Curricle, planned: Planned, tiny_study: Path, tmp_path: Path
) -> None:
    """Another process, whose datasets have another version."""
    corpora = f"corpora={{mine: {{source: files, path: {tmp_path / 'corpus.jsonl'}, domain: m}}}}"
    chosen = ("--set", corpora, "--set", "evaluation.multiple_choice=null")
    first = curricle("prepare", str(tiny_study), *chosen)
    assert first.returncode == 0, first.stderr
    assert "upgrade" not in first.stdout + first.stderr
    (tmp_path / "upgraded").mkdir()
    (tmp_path / "upgraded" / "sitecustomize.py").write_text(UPGRADED)
    inherited = os.environ.get("PYTHONPATH", "")
    path = {"PYTHONPATH": f"{tmp_path / 'upgraded'}{os.pathsep}{inherited}"}
    line = (
        "upgrade: 4 artifacts that other versions of the code made, anew: "
        f"4 of `prepare recipe`, version {DatasetStep.version}, now 99; the rest is kept"
    )
    assert line in curricle("status", str(tiny_study), *chosen, **path).stdout
    second = curricle("prepare", str(tiny_study), *chosen, **path)
    assert second.returncode == 0, second.stderr
    assert second.stdout.endswith(f"{line}\n")
    assert f"preparing recipes: {line}" in second.stderr
    assert "upgrade" not in curricle("status", str(tiny_study), *chosen, **path).stdout
