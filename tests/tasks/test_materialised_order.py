"""A study whose targets stream their orders: the same artifacts, and nothing else fetched."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.store import Store
from curricle.recipes.loading import load_study
from curricle.tasks.materialised_order import MaterialisedOrderStep
from curricle.tasks.order_check import check_order
from curricle.tasks.plan import StudyPlan
from curricle.tasks.train import TrainingStep

CURRICULA = "{online: {pacing: online-entropy-v}, sorted: {pacing: sorted, score: length}}"
TARGET = "{num_layers: 1, width: 16, num_heads: 1, tokens: 1024, learning_rate: 1e-2, confirm: 2}"


def plan_of(study: Path, *, materialise: bool) -> StudyPlan:
    corpus = study.parent / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": prose(i, 150)}) + "\n" for i in range(40)))
    settings = [
        f"corpora={{mine: {{source: files, path: '{corpus}', domain: mine}}}}",
        f"curricula={CURRICULA}",
        f"target={TARGET}",
        f"preparation.materialise_orders={str(materialise).lower()}",
    ]
    return StudyPlan(load_study(str(study), settings))


def runs_of(plan: StudyPlan) -> dict[str, TrainingStep]:
    """The target's runs with the first seed, by arm."""
    runs = plan.curricula.target_runs("untouched")
    return {run.curriculum: run for run in runs if run.training.seed == 0}


@pytest.fixture
def both(tiny_study: Path) -> dict[bool, dict[str, TrainingStep]]:
    return {on: runs_of(plan_of(tiny_study, materialise=on)) for on in (False, True)}


def test_it_changes_no_identity(both: dict[bool, dict[str, TrainingStep]]) -> None:
    assert {arm: run.artifact for arm, run in both[True].items()} == {
        arm: run.artifact for arm, run in both[False].items()
    }
    assert all(not run.aids for run in both[False].values())
    assert all(len(run.aids) == 1 for run in both[True].values())


@pytest.mark.parametrize("arm", ["random", "sorted", "online"])
def test_a_target_reads_what_it_would_have_looked_up(
    arm: str, both: dict[bool, dict[str, TrainingStep]], tiny_study: Path, tmp_path: Path
) -> None:
    made = {}
    for on, runs in both.items():
        store = Store(str(tmp_path / f"store-{on}"))
        make(store, [runs[arm]])
        streamed = [order for order in store.artifacts("order") if "materialised" in order.name]
        assert streamed == [step.artifact for step in runs[arm].aids]
        made[on] = store
    checkpoint, plan = both[True][arm].artifact, plan_of(tiny_study, materialise=True)
    weights = [
        (store.folder(checkpoint) / "model.safetensors").read_bytes() for store in made.values()
    ]
    assert weights[0] == weights[1]
    checked = check_order(made[True], checkpoint, plan.preparation.tokenizer.artifact)
    assert checked.first_difference is None
    assert checked.order == both[False][arm].order.artifact.key


def test_the_dataset_isnt_fetched_to_train(
    both: dict[bool, dict[str, TrainingStep]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = both[True]["random"], Store(str(tmp_path / "store"))
    dataset = run.order.random.dataset.artifact
    make(store, [*run.inputs.values(), *run.aids])
    fetch = Store.folder
    fetched: list[Any] = []

    def noted(self: Store, artifact: Any) -> Path:
        fetched.append(artifact)
        return fetch(self, artifact)

    monkeypatch.setattr(Store, "folder", noted)
    make(store, [run])
    assert fetched
    assert dataset not in fetched


def test_it_is_needed_only_until_its_runs_are_trained(tiny_study: Path, tmp_path: Path) -> None:
    plan, store = plan_of(tiny_study, materialise=True), Store(str(tmp_path / "store"))

    def streamed() -> set[Any]:
        steps = [step for steps in plan.layout(store).values() for step in steps]
        return {step.artifact for step in steps if isinstance(step, MaterialisedOrderStep)}

    run = runs_of(plan)["sorted"]
    before = streamed()
    make(store, [run])
    assert before - streamed() == {step.artifact for step in run.aids}
