import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from curricle.core.store import Store
from curricle.tasks.tracking import Claim, TrackedRun, Tracker


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def make_tracker(uri: str, tmp_path: Path, claim: Claim = contextlib.nullcontext) -> Tracker:
    return Tracker(
        uri=uri,
        artifact_root=str(tmp_path / "artifacts"),
        study="a-study",
        study_key="study-key",
        tags={"git_commit": "abc"},
        claim=claim,
    )


@pytest.fixture
def run(tmp_path: Path) -> TrackedRun:
    metrics = tmp_path / "metrics.jsonl"
    points = [
        {"tokens": 100 * step, "time_ms": 1000 + step, "values": {"train/loss": 5.0 / step}}
        for step in (1, 2, 3)
    ]
    metrics.write_text("".join(json.dumps(point) + "\n" for point in points))
    return TrackedRun(
        key="run-key",
        part="training",
        name="proxy untouched, seed 0",
        tags={"recipe": "untouched", "seed": "0"},
        parameters={"width": 64},
        datasets={"training": "store/dataset/untouched/0123"},
        values={"validation/loss/average": 2.5},
        tokens=300,
        time_ms=2000,
        metrics_file=metrics,
    )


def runs_of(uri: str) -> dict[str, Run]:
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("a-study")
    assert experiment is not None
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_runs_are_children_of_the_study_and_logged_once(
    uri: str, run: TrackedRun, tmp_path: Path
) -> None:
    addition = run.addition("evaluation", {"sharpness/largest_eigenvalue": 7.0})
    for _ in range(2):  # the second session finds everything and adds nothing
        tracker = make_tracker(uri, tmp_path)
        tracker.follow_flow("flow-1", "http://127.0.0.1:4200/runs/flow-run/flow-1")
        tracker.log_run(run)
        tracker.log_run(addition)
        tracker.log_study({"runs": 1.0}, {"report.html": "<p>hello</p>"})
        tracker.close(finished=True)
        assert tracker.failures == []
    runs = runs_of(uri)
    assert set(runs) == {"a-study", run.name}
    parent, child = runs["a-study"], runs[run.name]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.tags["prefect_flow_run_id"] == "flow-1"
    link = "[Prefect's flow run](http://127.0.0.1:4200/runs/flow-run/flow-1)"
    assert parent.data.tags["mlflow.note.content"] == link
    assert parent.info.status == child.info.status == "FINISHED"
    assert (child.info.start_time, child.info.end_time) == (1001, run.time_ms)
    assert child.data.params == {"width": "64"}
    assert child.data.metrics == pytest.approx(
        {"train/loss": 5 / 3, "validation/loss/average": 2.5, "sharpness/largest_eigenvalue": 7.0}
    )
    client = MlflowClient(tracking_uri=uri)
    assert len(client.get_metric_history(parent.info.run_id, "runs")) == 1
    history = client.get_metric_history(child.info.run_id, "train/loss")
    assert [(point.step, point.timestamp) for point in history] == [
        (100, 1001),
        (200, 1002),
        (300, 1003),
    ]
    assert child.inputs is not None
    assert child.inputs.dataset_inputs[0].dataset.digest == "0123"


def test_two_sessions_at_once_share_their_runs(uri: str, run: TrackedRun, tmp_path: Path) -> None:
    """Both have begun before either has logged anything."""
    store = Store(str(tmp_path / "store"))
    trackers = [make_tracker(uri, tmp_path, store.claim) for _ in range(2)]
    for tracker in trackers:
        tracker.follow_flow("a-flow-run")
    for number in range(5):
        for tracker in trackers:
            tracker.log_run(replace(run, key=f"key-{number}", name=f"run {number}"))
    for tracker in trackers:
        tracker.close(finished=True)
        assert tracker.failures == []
    client = MlflowClient(tracking_uri=uri)
    (experiment,) = client.search_experiments(filter_string="name = 'a-study'")
    found = client.search_runs([experiment.experiment_id])
    assert len(found) == 1 + 5
    for one in found:
        steps = [m.step for m in client.get_metric_history(one.info.run_id, "train/loss")]
        assert steps in ([], [100, 200, 300])


def test_a_run_cut_short_is_completed(uri: str, run: TrackedRun, tmp_path: Path) -> None:
    tracker = make_tracker(uri, tmp_path)
    tracker.log_run(replace(run, datasets={"training": "not-a-uri"}))  # fails after the metrics
    tracker.close(finished=False)
    assert len(tracker.failures) == 1
    tracker = make_tracker(uri, tmp_path)
    tracker.log_run(run)
    tracker.close(finished=True)
    assert tracker.failures == []
    child = runs_of(uri)[run.name]
    history = MlflowClient(tracking_uri=uri).get_metric_history(child.info.run_id, "train/loss")
    assert len(history) == 3


def test_a_server_that_is_down_stops_nothing(run: TrackedRun, tmp_path: Path) -> None:
    tracker = make_tracker("no-such-scheme://nowhere", tmp_path)
    tracker.log_run(run)
    tracker.close(finished=True)
    assert tracker.failures
