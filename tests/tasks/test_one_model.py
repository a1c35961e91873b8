"""Evaluations of single models in MLflow: one run a model, the names of a study's targets."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from curricle.core.errors import JobError
from curricle.tasks.one_model import EXPERIMENT, log_evaluation

ENTRY = {
    f"{name}{end}": 1.5 for name in ("perplexity", "bits_per_byte") for end in ("", "_low", "_high")
}
FOUND: dict[str, dict[str, Any]] = {
    "multiple-choice": {"accuracy": 0.25, "bits_per_byte": None, "questions": 12},
    "sharpness": {"trace": -3.0, "largest_converged": True, "critical": None},
    "perplexity": {"domains": {"web": {**ENTRY, "perplexity_low": None}}, "average": ENTRY},
    "harness": {"tasks": {"a_task": {"exact_match,strict": {"value": 0.5}}}},
}


def test_evaluations_of_a_model_share_a_run_and_are_logged_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for kind, found in [*FOUND.items(), ("sharpness", FOUND["sharpness"])]:
        log_evaluation(uri, "models/first", "0123", kind, {"seed": 0}, found)
    log_evaluation(uri, "models/second", "4567", "sharpness", {"seed": 0}, FOUND["sharpness"])
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {EXPERIMENT, "models/first", "models/second"}
    assert runs["models/second"].data.metrics == {
        "sharpness/trace": -3.0,
        "sharpness/largest_converged": 1.0,
    }
    first = runs["models/first"]
    assert set(first.data.metrics) == {
        "multiple_choice/accuracy",
        "sharpness/trace",
        "sharpness/largest_converged",
        *(f"validation/{name}" for name in ENTRY),
        *(f"validation/{name}/web" for name in ENTRY if name != "perplexity_low"),
        "harness/a_task/exact_match_strict",
    }
    assert first.info.status == "FINISHED"
    assert len(client.get_metric_history(first.info.run_id, "sharpness/trace")) == 1


def test_a_database_that_cannot_be_reached_is_named() -> None:
    uri = "sqlite:////proc/nowhere/mlflow.db"
    with pytest.raises(JobError, match=f"MLflow at {uri}: connecting"):
        log_evaluation(uri, "m", "0", "sharpness", {}, {"trace": 1.0})
