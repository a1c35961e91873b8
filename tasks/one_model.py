"""The evaluation of one model by itself, in MLflow."""

import re
import time
from collections.abc import Mapping
from typing import Any

from curricle.core.errors import JobError
from curricle.core.plain import fingerprint
from curricle.tasks.evaluation_values import evaluation_values, tracked_names
from curricle.tasks.tracking import TrackedRun, Tracker

EXPERIMENT = "evaluations"


def log_evaluation(
    uri: str, model: str, weights: str, kind: str, settings: Mapping[str, Any], facts: Any
) -> None:
    """Log what an evaluation of `kind` found, under the names that a study's targets have.

    The run is that of the model called `model` whose files have the fingerprint `weights`; it is
    found again by the next evaluation. The same result is logged once. Raises JobError if MLflow at
    `uri` can't be reached.
    """
    values = tracked_names(evaluation_values(kind, facts))
    run = TrackedRun(
        key=f"model-{weights}",
        part=f"{kind}.{fingerprint({'settings': settings, 'values': values})}",
        name=model,
        tags={"model": model},
        parameters={},
        datasets={},
        # MLflow knows fewer characters than the harness's tasks and metrics have.
        values={re.sub(r"[^\w\-. :/]", "_", name): value for name, value in values.items()},
        tokens=0,
        time_ms=int(time.time() * 1000),
    )
    tracker = Tracker(uri, None, EXPERIMENT, EXPERIMENT, tags={})
    tracker.log_run(run)
    tracker.close(finished=True)
    if tracker.failures:
        raise JobError(f"MLflow at {uri}: {tracker.failures[0]}")
