"""MLflow: one experiment per study name, one parent run per study, one child per training run.

A job writes its metrics to a file in its artifact; this forwards them in batches from a thread of
its own, so that a slow or absent tracking server holds nothing up. A run is found again by the tag
`run_key`; points logged twice are the same points, since each line carries its time.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

# MLflow takes a thousand entries at once, and parameters and tags are among them.
METRICS_PER_BATCH = 800
PARENT_TAG, NOTE_TAG = "mlflow.parentRunId", "mlflow.note.content"
# Without it MLflow's pages show what belongs to chats and agents, and hide the runs behind it.
VIEW = "?workflowType=machine_learning"

Claim = Callable[[str], contextlib.AbstractContextManager[object]]


@dataclass(frozen=True)
class TrackedRun:
    """What MLflow shows of one run, or one part of it.

    `metrics_file` holds the points, `values` the final numbers. A part that has been logged is
    marked by a tag and not logged again.
    """

    key: str
    part: str
    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, Any]
    datasets: Mapping[str, str]
    values: Mapping[str, float]
    tokens: int
    time_ms: int
    metrics_file: Path | None = None

    def addition(self, part: str, values: Mapping[str, float]) -> "TrackedRun":
        """Further numbers of the same run."""
        return replace(
            self, part=part, values=values, metrics_file=None, parameters={}, datasets={}
        )


class Registrable(Protocol):
    """What can enter itself into the model registry."""

    def register(self, client: "MlflowClient", run_id: str) -> None:
        """Register it as made by that run; again changes nothing."""


@dataclass
class Tracker:
    """Forwards runs to an MLflow server or database; closing waits for what is under way.

    `artifact_root` is where a new experiment keeps its files (None: where the server wants them).
    `claim(name)` keeps others that run the same study from writing at the same time: MLflow would
    have two runs of one key, and refuse a dataset that two sessions log for the first time.
    """

    uri: str
    artifact_root: str | None
    study: str
    study_key: str
    tags: dict[str, str]
    failures: list[str] = field(default_factory=list)
    claim: Claim = contextlib.nullcontext

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        self._page: str | None = None
        self._pending: list[tuple[str, Future[None]]] = []
        self._submit("connecting", self._connect)

    def page(self, part: str = "") -> str | None:
        """Where MLflow's server shows the study's run, or `part` of it, such as an artifact.

        None before it is known, or without a server.
        """
        return self._page and f"{self._page}{part}{VIEW}"

    def follow_flow(self, flow_run_id: str, address: str | None = None) -> None:
        """Name the Prefect flow run on the parent run and on all runs logged from now on.

        The parent run's description links to its `address`, if it has one.
        """
        self.tags["prefect_flow_run_id"] = flow_run_id
        note = {} if address is None else {NOTE_TAG: f"[Prefect's flow run]({address})"}
        self._submit("flow run", self._tag_parent, {**self.tags, **note})

    def log_run(self, run: TrackedRun) -> None:
        """Forward one finished run, unless that has been done before."""
        self._submit(run.name, self._log_run, run)

    def register(self, run: TrackedRun, model: Registrable) -> None:
        """Register the model that a run has made; the run has been logged before."""
        self._submit("registering the model", self._register, run, model)

    def log_study(self, values: Mapping[str, float], texts: Mapping[str, str | bytes]) -> None:
        """Put summary numbers and small files (report, figures) on the parent run."""
        self._submit("study", self._log_study, dict(values), dict(texts))

    def close(self, *, finished: bool) -> None:
        """Wait for everything submitted, end the parent run, collect what went wrong."""
        self._submit("ending", self._end_parent, finished)
        for name, future in self._pending:
            if error := future.exception():
                self.failures.append(f"{name}: {' '.join(str(error).split())[:200]}")
        self._thread.shutdown()

    def _submit(self, name: str, function: Any, *arguments: Any) -> None:
        self._pending.append((name, self._thread.submit(function, *arguments)))

    def _connect(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # Two lines a run would bury what a study says of itself.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow import MlflowClient

        # Importing mlflow sets its loggers up, to tell of every table it creates.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._client = client = MlflowClient(tracking_uri=self.uri)
        with self._alone():
            experiment = client.get_experiment_by_name(self.study)
            self._experiment: str = (
                experiment.experiment_id
                if experiment
                else client.create_experiment(self.study, artifact_location=self.artifact_root)
            )
            self._known = {
                run.data.tags["run_key"]: (run.info.run_id, set(run.data.tags))
                for run in self._runs()
                if "run_key" in run.data.tags
            }
            self._parent, _ = self._find_or_create(self.study_key, self.study, self.tags)
        client.update_run(self._parent, status="RUNNING")
        if self.uri.startswith("http"):
            self._page = f"{self.uri}/#/experiments/{self._experiment}/runs/{self._parent}"

    def _alone(self) -> contextlib.AbstractContextManager[object]:
        return self.claim(f"mlflow-{self.study}")

    def _tag_parent(self, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._client.set_tag(self._parent, key, value)

    def _runs(self, filter_string: str = "") -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], filter_string, max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _find_or_create(
        self, key: str, name: str, tags: Mapping[str, str], start_ms: int | None = None
    ) -> tuple[str, set[str]]:
        """Id and tags of the run with this key."""
        if key not in self._known:
            # Another session may have made it since this one began.
            run = next(iter(self._runs(f"tags.run_key = '{key}'")), None)
            if run is None:
                tags = {**tags, "run_key": key}
                run = self._client.create_run(self._experiment, start_ms, tags, name)
            self._known[key] = (run.info.run_id, set(run.data.tags))
        return self._known[key]

    def _log_run(self, run: TrackedRun) -> None:
        done = f"logged.{run.part}"
        if done in self._known.get(run.key, ("", ()))[1]:
            return
        with self._alone():
            tags = {**run.tags, PARENT_TAG: self._parent}
            # Shown are the times of the run, not those of forwarding it.
            start_ms = next((point.timestamp for point in _points(run)), run.time_ms)
            run_id, known_tags = self._find_or_create(run.key, run.name, tags, start_ms)
            if done in known_tags:
                return
            self._log_inputs(run_id, run)
            self._log_values(run_id, run, done)
            self._client.set_terminated(run_id, "FINISHED", run.time_ms)
            known_tags.add(done)

    def _log_values(self, run_id: str, run: TrackedRun, done: str) -> None:
        """Points and parameters, and with the last of them the tag that says so.

        A server that asks for a password takes a tenth of a second for each request: few are made.
        """
        from mlflow.entities import Param, RunTag

        *first, last = list(_batched(_points(run), METRICS_PER_BATCH)) or [[]]
        for batch in first:
            self._client.log_batch(run_id, metrics=batch)
        parameters = [Param(key, str(value)) for key, value in run.parameters.items()]
        tags = [RunTag(done, "true")]
        self._client.log_batch(run_id, metrics=last, params=parameters, tags=tags)

    def _log_inputs(self, run_id: str, run: TrackedRun) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if not run.datasets:
            return
        inputs = [
            DatasetInput(
                Dataset(name=name, digest=uri.rsplit("/", 1)[-1], source_type="local", source=uri),
                [InputTag("mlflow.data.context", role)],
            )
            for role, uri in run.datasets.items()
            for name in [uri.split("/")[-2]]
        ]
        self._client.log_inputs(run_id, inputs)

    def _register(self, run: TrackedRun, model: Registrable) -> None:
        run_id, _ = self._known[run.key]
        model.register(self._client, run_id)

    def _log_study(self, values: dict[str, float], texts: dict[str, str | bytes]) -> None:
        with self._alone():
            shown = self._client.get_run(self._parent).data.metrics
            for key, value in values.items():
                if shown.get(key) != value:
                    self._client.log_metric(self._parent, key, value)
        with contextlib.ExitStack() as stack:
            import tempfile

            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for name, content in texts.items():
                data = content.encode() if isinstance(content, str) else content
                (folder / name).write_bytes(data)
                self._client.log_artifact(self._parent, str(folder / name))

    def _end_parent(self, finished: bool) -> None:
        self._client.set_terminated(self._parent, "FINISHED" if finished else "FAILED")


def _points(run: TrackedRun) -> Iterator["Metric"]:
    from mlflow.entities import Metric

    # A time of the record's, not of now: a point that is logged twice is then the same point.
    last = run.time_ms
    if run.metrics_file is not None:
        for line in run.metrics_file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            last = entry["time_ms"]
            for key, value in entry["values"].items():
                yield Metric(key, value, last, entry["tokens"])
    for key, value in run.values.items():
        yield Metric(key, value, last, run.tokens)


def _batched(points: Iterable["Metric"], size: int) -> Iterator[list["Metric"]]:
    batch: list[Metric] = []
    for point in points:
        batch.append(point)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
