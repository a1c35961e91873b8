"""What MLflow takes of a study of 300 runs.

    python -P benchmarks/tracking.py

`--runs` runs with fifty points each, as a job leaves them, go to an MLflow server of its own on
loopback, as a study's thread sends them, and are searched for.
"""

import argparse
import contextlib
import json
import socket
import tempfile
import time
from pathlib import Path

from curricle.flows.server_processes import ended_together, mlflow_server
from curricle.models.metrics_log import METRICS, MetricsLog
from curricle.tasks.tracking import TrackedRun, Tracker

DOMAINS = ("books", "code", "forums", "papers", "reference", "web", "wiki")
POINTS = 50


def write_points(folder: Path) -> Path:
    """What a job tells of its steps."""
    log = MetricsLog(folder)
    names = ("loss", "gradient_norm", "learning_rate", "tokens_per_second", "mfu")
    for point in range(POINTS):
        log.add(8192 * point, {f"train/{name}": 1.0 + point for name in names})
    log.add(8192 * POINTS, {f"validation/loss/{domain}": 6.0 for domain in DOMAINS})
    return folder / METRICS


def study(folder: Path, points: Path, count: int) -> dict[str, float]:
    """Seconds of MLflow for `count` runs of such points: sent by a study's thread, and searched."""
    from mlflow import MlflowClient

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = (
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    )
    address = f"http://127.0.0.1:{port}"
    with ended_together() as servers:
        servers.start(mlflow_server("127.0.0.1", port, places))
        servers.wait(lambda _: None)
        tracker = Tracker(address, None, "study", "study", {}, claim=contextlib.nullcontext)
        started = time.perf_counter()
        for number in range(count):
            tracker.log_run(tracked(number, points))
        tracker.close(finished=True)
        logged = time.perf_counter() - started
        assert tracker.failures == []
        client = MlflowClient(address)
        experiment = client.get_experiment_by_name("study")
        assert experiment is not None
        started = time.perf_counter()
        found = client.search_runs([experiment.experiment_id], "tags.stage = 'proxy'", 1, 1000)
        searched = time.perf_counter() - started
    assert len(found) == count
    return {"runs": count, "logged": logged, "a run": logged / count, "searched": searched}


def tracked(number: int, points: Path) -> TrackedRun:
    """One run as a study tells of it."""
    return TrackedRun(
        key=f"run-{number}",
        part="training",
        name=f"proxy recipe-{number // 6}, seed {number % 3}",
        tags={"stage": "proxy", "recipe": f"recipe-{number // 6}", "seed": str(number % 3)},
        parameters={f"parameter-{index}": index for index in range(20)},
        datasets={"training": f"store/dataset/recipe-{number // 6}/{number // 6:016x}"},
        values={f"validation/loss/{domain}": 6.0 for domain in DOMAINS},
        tokens=400_000,
        time_ms=int(time.time() * 1000),
        metrics_file=points,
    )


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = study(Path(folder), write_points(Path(folder)), options.runs)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
