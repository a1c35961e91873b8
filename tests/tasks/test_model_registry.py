"""Which target a study recommends, and what MLflow's registry says of it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mlflow import MlflowClient
from tests.flows.loopback import free_port

from curricle.core.store import Store
from curricle.flows.server_processes import Servers, mlflow_server
from curricle.recipes.loading import load_study
from curricle.tasks.model_registry import chosen_target, register_target
from curricle.tasks.plan import StudyPlan
from curricle.tasks.session import Session
from curricle.tasks.tracking import Tracker
from curricle.tasks.train import TrainingStep

# Beside the random order's loss of 5; seed 1 is the luckiest.
EFFECTS = {"learnability": -0.3, "anti-learnability": 0.2, "learnability-reshuffled": -0.4}
LUCK = (0.0, -0.02, 0.01)


def loss_of(run: TrainingStep, effects: dict[str, float]) -> float:
    seed = run.training.seed
    return 5.0 + effects.get(run.curriculum, 0.0) + LUCK[seed] + 0.001 * seed * len(run.curriculum)


@pytest.fixture
def plan(tiny_study: Path) -> StudyPlan:
    return StudyPlan(load_study(str(tiny_study)))


def keep_targets(plan: StudyPlan, store: Store, effects: dict[str, float]) -> None:
    """Finished targets with made-up losses."""
    for run in plan.curricula.target_runs("untouched"):
        facts = {
            "parameters": 10,
            "training_flops": 100,
            "seconds": 1.0,
            "first_loss": 6.0,
            "validation": {"prose": {"loss": loss_of(run, effects)}},
        }

        def build(folder: Path, facts: dict[str, Any] = facts) -> dict[str, Any]:
            (folder / "model.safetensors").write_bytes(b"weights")
            (folder / "metrics.jsonl").write_text("")
            return facts

        store.produce(run.request, build)


@pytest.mark.parametrize(
    ("effects", "arm"),
    [(EFFECTS, "learnability"), ({**EFFECTS, "learnability": 0.3}, "random"), ({}, "random")],
    ids=["a curriculum that helps", "one that harms", "one without effect"],
)
def test_the_recommended_arms_best_seed_is_chosen(
    plan: StudyPlan, tmp_path: Path, effects: dict[str, float], arm: str
) -> None:
    store = Store(str(tmp_path / "store"))
    assert chosen_target(plan, store) is None
    keep_targets(plan, store, effects)
    chosen = chosen_target(plan, store)
    assert chosen is not None
    assert (chosen.curriculum, chosen.training.seed) == (arm, 1)


def registered(plan: StudyPlan, store: Store, uri: str, artifacts: Path | None) -> list[str]:
    """What went wrong when the study's target was registered in a session of its own."""
    root = None if artifacts is None else str(artifacts)
    tracker = Tracker(uri, root, "tiny", "study-tiny", {"git_commit": "abc"})
    session = cast("Session", SimpleNamespace(store=store, tracker=tracker))
    for run in plan.curricula.target_runs("untouched"):
        tracker.log_run(run.tracked_run(session))
    register_target(session, plan)
    tracker.close(finished=True)
    return tracker.failures


def check_registry(uri: str, plan: StudyPlan, store: Store) -> None:
    chosen = chosen_target(plan, store)
    assert chosen is not None
    client = MlflowClient(tracking_uri=uri)
    (version,) = client.search_model_versions("name = 'tiny'")
    assert client.get_model_version_by_alias("tiny", "chosen").version == version.version
    assert version.run_id is not None
    run = client.get_run(version.run_id)
    assert run.info.run_name == chosen.label
    address = f"{store.root}/{chosen.artifact.key}"
    assert version.tags["checkpoint"] == run.data.tags["checkpoint"] == address
    expected = {"study": "tiny", "recipe": "untouched", "curriculum": "learnability", "seed": "1"}
    assert expected.items() <= version.tags.items()
    dataset = chosen.order.random.dataset.artifact
    assert version.tags["dataset_digest"] == dataset.fingerprint
    (item,) = client.list_artifacts(version.run_id, "model")
    page = Path(client.download_artifacts(version.run_id, item.path))
    assert json.loads(page.read_text()) == version.tags


def test_it_is_registered_once_with_its_lineage_and_no_pickle(
    plan: StudyPlan, tmp_path: Path
) -> None:
    store, uri = Store(str(tmp_path / "store")), f"sqlite:///{tmp_path / 'mlflow.db'}"
    keep_targets(plan, store, EFFECTS)
    for _ in range(2):
        assert registered(plan, store, uri, tmp_path / "artifacts") == []
    check_registry(uri, plan, store)
    files = [path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert files == ["lineage.json"]


def test_a_registry_that_is_down_is_told_and_stops_nothing(plan: StudyPlan, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    keep_targets(plan, store, EFFECTS)
    failures = registered(plan, store, "no-such-scheme://nowhere", None)
    assert any(line.startswith("registering the model: ") for line in failures)


@pytest.mark.slow
def test_a_server_takes_it_with_a_store_of_its_own(plan: StudyPlan, tmp_path: Path) -> None:
    """Servers refuse models that lie in folders of the client's."""
    store, servers = Store(str(tmp_path / "store")), Servers()
    keep_targets(plan, store, EFFECTS)
    port = free_port()
    places = (
        *("--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"),
        *("--artifacts-destination", str(tmp_path / "artifacts")),
    )
    servers.start(mlflow_server("127.0.0.1", port, places))
    try:
        servers.wait(print)
        uri = f"http://127.0.0.1:{port}"
        assert registered(plan, store, uri, None) == []
        check_registry(uri, plan, store)
    finally:
        servers.stop()
