"""The chosen target in MLflow's model registry: where it lies, and all that it comes from.

The weights stay in the store. A version's files are one page of JSON that says where, and its tags
the same, so that nothing has to be unpickled, or even fetched, to tell a model's origin.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curricle.analysis.comparison import Comparison
from curricle.core.store import Store
from curricle.tasks.comparisons import comparisons_of, main_targets
from curricle.tasks.plan import RANDOM, StudyPlan
from curricle.tasks.results import collect_results
from curricle.tasks.session import Session
from curricle.tasks.train import TrainingStep

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER, LINEAGE, ALIAS = "model", "lineage.json", "chosen"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class ChosenModel:
    """A version to be registered under `name`; `lineage` has the tag `checkpoint` and others."""

    name: str
    lineage: Mapping[str, str]

    def register(self, client: "MlflowClient", run_id: str) -> None:
        """Register it as made by that run, unless it is there, and call it the chosen one."""
        if not client.search_registered_models(f"name = '{self.name}'"):
            client.create_registered_model(self.name)
        known = client.search_model_versions(f"name = '{self.name}'")
        mine = (
            item.version
            for item in known
            if item.tags.get("checkpoint") == self.lineage["checkpoint"]
        )
        version = next(mine, None) or self._create(client, run_id)
        client.set_registered_model_alias(self.name, ALIAS, version)

    def _create(self, client: "MlflowClient", run_id: str) -> str:
        text = json.dumps(dict(self.lineage), indent=1) + "\n"
        client.log_text(run_id, text, f"{FOLDER}/{LINEAGE}")
        source = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
        tags = dict(self.lineage)
        return str(client.create_model_version(self.name, source, run_id, tags).version)


def register_target(session: Session, plan: StudyPlan) -> None:
    """Register what the study recommends: the best recipe, under the curriculum that helps."""
    if (run := chosen_target(plan, session.store)) is None:
        return
    lineage = lineage_of(run, plan, session.store) | session.tracker.tags
    session.tracker.register(run.tracked_run(session), ChosenModel(plan.study.name, lineage))


def chosen_target(plan: StudyPlan, store: Store) -> TrainingStep | None:
    """The finished target with the lowest held-out loss, of the arm that the study recommends."""
    results = collect_results(plan, store)
    compared = comparisons_of(main_targets(plan, results), plan.study.curricula)
    arm = best_arm(compared, list(plan.study.curricula))
    runs = [
        run
        for run in plan.curricula.target_runs(plan.ranking.decide(store).best)
        if run.curriculum == arm and store.exists(run.artifact)
    ]
    return min(runs, key=lambda run: run.average_loss(store), default=None)


def best_arm(compared: tuple[Comparison, ...], curricula: list[str]) -> str:
    """The curriculum that surely beats random order by most; random order if none does."""
    better = [
        item
        for item in compared
        if (item.domain, item.control, item.verdict) == ("average", RANDOM, "better")
        and item.arm in curricula
    ]
    return min(better, key=lambda item: item.difference).arm if better else RANDOM


def lineage_of(run: TrainingStep, plan: StudyPlan, store: Store) -> dict[str, str]:
    """Where the weights lie, what they are, and what they were made from."""
    record, dataset = store.record(run.artifact), run.order.random.dataset.artifact
    return {
        "checkpoint": store.address(run.artifact),
        "weights_sha256": record["files"][WEIGHTS]["sha256"],
        "study": plan.study.name,
        "recipe": run.recipe,
        "curriculum": run.curriculum,
        "seed": str(run.training.seed),
        "size": run.training.model.size,
        "dataset": store.address(dataset),
        "dataset_digest": dataset.fingerprint,
        "order": store.address(run.order.artifact),
        "validation_loss": f"{run.average_loss(store):.6g}",
    }
