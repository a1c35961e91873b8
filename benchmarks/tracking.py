"""What logging costs: a training job's own, and MLflow's for a study of 300 runs.

    python -P benchmarks/tracking.py

A job times every call into its log (losses read, watched over and written, digests of what was
read) while it trains a 2 x 64 model. Then `--runs` runs with as many points as such a job leaves go
to an MLflow server of its own on loopback, as a study's thread sends them, and are searched for.
"""

import argparse
import contextlib
import json
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curricle.core.jobs import ModelSpec, OptimizerSpec, TrainingSpec
from curricle.core.order_file import write_order
from curricle.core.token_dataset import DatasetWriter, TokenizedDocument
from curricle.flows.server_processes import ended_together, mlflow_server
from curricle.models.devices import training_kernels
from curricle.models.metrics_log import METRICS
from curricle.models.placement import Placement
from curricle.models.training import TrainingRun
from curricle.models.training_inputs import open_inputs
from curricle.models.training_log import TrainingLog
from curricle.tasks.tracking import TrackedRun, Tracker

VOCABULARY, LENGTH, BATCH = 4096, 128, 8
DOMAINS = ("books", "code", "forums", "papers", "reference", "web", "wiki")
CALLS = ("add", "read", "note_read", "write_validation")


def make_spec(steps: int) -> TrainingSpec:
    """A proxy of the shipped studies."""
    model = ModelSpec(
        family="gpt2",
        num_layers=2,
        width=64,
        num_heads=2,
        vocabulary_size=VOCABULARY,
        sequence_length=LENGTH,
    )
    return TrainingSpec(
        model=model,
        optimizer=OptimizerSpec(
            learning_rate=1e-3,
            schedule="constant",
            warmup_fraction=0.0,
            final_fraction=1.0,
            weight_decay=0.1,
            gradient_clip=1.0,
        ),
        batch_size=BATCH,
        steps=steps,
        seed=0,
        validation_tokens_per_domain=LENGTH,
        threads=1,
    )


def make_inputs(folder: Path, spec: TrainingSpec) -> dict[str, Path]:
    """Made-up tokens, and an order over them."""
    draw = np.random.default_rng(0)
    for role, domains, samples in (("dataset", ["web"], 512), ("validation", DOMAINS, 4)):
        (folder / role).mkdir()
        writer = DatasetWriter(folder / role, vocabulary_size=VOCABULARY, end_of_text=0)
        for domain in domains:
            tokens = draw.integers(1, VOCABULARY, samples * LENGTH).tolist()
            writer.write_domain(domain, [TokenizedDocument("0", "made up", 1, tokens)])
        writer.finish()
    order = draw.integers(0, 500, spec.steps * BATCH)
    (folder / "order").mkdir()
    write_order(folder / "order", order)
    return {name: folder / name for name in ("dataset", "validation", "order")}


@contextlib.contextmanager
def timed_calls(spent: list[float]) -> Iterator[None]:
    """Add the seconds that each call into a job's log takes."""
    originals = {name: getattr(TrainingLog, name) for name in CALLS}

    def timing(call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = call(*arguments)
            spent.append(time.perf_counter() - started)
            return result

        return timed

    for name, call in originals.items():
        setattr(TrainingLog, name, timing(call))
    try:
        yield
    finally:
        for name, call in originals.items():
            setattr(TrainingLog, name, call)


def job(folder: Path, steps: int) -> tuple[dict[str, float], Path]:
    """Seconds of a job's loop and of the log in it, and the points that it has left."""
    torch.set_num_threads(1)
    spec, spent = make_spec(steps), list[float]()
    inputs, output = make_inputs(folder, spec), folder / "output"
    output.mkdir()
    placement = Placement()
    run = TrainingRun(spec, open_inputs(spec, inputs, placement), output, placement)
    run.resume()
    with training_kernels("cpu"), timed_calls(spent):
        started = time.perf_counter()
        run.fit()
        seconds = time.perf_counter() - started
    found = {"steps": steps, "seconds": seconds, "log": sum(spent), "share": sum(spent) / seconds}
    return found, output / METRICS


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
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--runs", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own, points = job(Path(folder), options.steps)
        mlflow = study(Path(folder), points, options.runs)
    print(json.dumps({"job": own, "mlflow": mlflow}, indent=1))


if __name__ == "__main__":
    main()
