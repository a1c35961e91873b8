"""What the tasks of one process share while a study runs: store, workers, tracker, progress."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

from prefect import get_run_logger
from prefect.context import FlowRunContext

from curricle.core import provenance
from curricle.core.store import Artifact, Store
from curricle.models.pool import JobPool
from curricle.recipes.ladder import LadderStudy
from curricle.recipes.loading import AnyStudy, load_any
from curricle.recipes.specs.preparation import Preparation
from curricle.tasks.engine import TaskRunnerEngine
from curricle.tasks.gpus import gpu_turn
from curricle.tasks.places import artifact_root, placement_of, state_folder, tracking_uri
from curricle.tasks.progress import ProgressDisplay
from curricle.tasks.tracking import Tracker
from curricle.tasks.upgrade import Upgrade

MOST_TOLD = 3
_open: list["Session"] = []


class Session:
    """One study at work in this process. Opened by the outermost flow, found by every task.

    `results` keeps the plan, the outermost flow's name and what each stage's flow returned, so
    that a later stage of the same session doesn't run it again. After `first_error` no further step
    is started. `failures` says by label why a run is missing that the study goes on without,
    `rebuilt` why an artifact is made that another version of the code has made already. `step_made`
    is called by the flow's thread after each step.
    """

    def __init__(self, study: AnyStudy) -> None:
        self.study = study
        self.store = Store(study.store)
        self.store.sweep()
        # A worker starts here, without the command line's preparations.
        state_folder(study).mkdir(parents=True, exist_ok=True)
        self.results: dict[str, object] = {}
        self.first_error: BaseException | None = None
        self.failures: dict[str, str] = {}
        self.rebuilt: dict[Artifact, str] = {}
        self.step_made: Callable[[], None] = lambda: None
        self.progress = ProgressDisplay()
        self.tracker = Tracker(
            uri=tracking_uri(study),
            artifact_root=artifact_root(study),
            study=study.name,
            study_key=f"study-{study.name}",
            tags=common_tags(),
            claim=self.store.claim,
        )

    @functools.cached_property
    def pool(self) -> JobPool:
        """The worker processes; started when first asked for."""
        study = self.study
        return JobPool(study.hardware.workers, threads_of(study), placement_of(study), gpu_turn)

    @functools.cached_property
    def engine(self) -> TaskRunnerEngine:
        """What maps the shards of corpora and recipes."""
        return TaskRunnerEngine(self.preparation)

    @functools.cached_property
    def upgrade(self) -> Upgrade:
        """Tells which missing artifacts another version of the code has made."""
        return Upgrade(self.store)

    @property
    def preparation(self) -> Preparation:
        """Where documents are prepared; a ladder's studies leave it to the default."""
        return Preparation() if isinstance(self.study, LadderStudy) else self.study.preparation

    def start_workers(self) -> None:
        """Start the worker processes now, rather than with the first job."""
        assert self.pool.size > 0

    def leave(self, reason: BaseException) -> None:
        """Start nothing more, and let jobs under way leave a snapshot and end.

        For what ends a run from outside: a cluster that wants its machine back, or Prefect's page.
        """
        self.first_error = self.first_error or reason
        if "engine" in self.__dict__:
            self.engine.leave()
        if "pool" in self.__dict__:
            self.pool.leave()

    def close(self, *, finished: bool) -> None:
        """End the workers and wait for the tracker."""
        if "engine" in self.__dict__:
            self.engine.close()
        if "pool" in self.__dict__:
            self.pool.close()
        self.tracker.close(finished=finished)
        if self.tracker.failures and FlowRunContext.get() is not None:
            told = "; ".join(self.tracker.failures[:MOST_TOLD])
            get_run_logger().warning("Not logged to MLflow: %s", told)


def current_session() -> Session:
    """The open session. Raises RuntimeError outside of one."""
    if not _open:
        raise RuntimeError("no session is open: call this from a flow of curricle.flows")
    return _open[-1]


@contextlib.contextmanager
def open_session(study: str, overrides: Sequence[str]) -> Iterator[Session]:
    """The session of a study; whoever opens one inside another shares it."""
    if _open:
        with _left_when_ended(_open[-1]):
            yield _open[-1]
        return
    session = Session(load_any(study, overrides))
    _open.append(session)
    finished = False
    try:
        with session.progress, _left_when_ended(session):
            yield session
        finished = True
    finally:
        _open.pop()
        session.close(finished=finished)


@contextlib.contextmanager
def _left_when_ended(session: Session) -> Iterator[None]:
    """Leave the session on SIGTERM, cancelling or suspending: Prefect's signals are no Exceptions.

    Each flow does so, since a flow waits for its tasks' threads before its caller hears of the end.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as reason:
        session.leave(reason)
        raise


def threads_of(study: AnyStudy) -> int:
    """The most threads that a job of the study has."""
    if isinstance(study, LadderStudy):
        return study.scaling.threads
    return max(study.proxy.threads, study.target.threads)


def common_tags() -> dict[str, str]:
    """Tags of every MLflow run of this process."""
    commit = provenance.code_version().get("commit")
    return {"git_commit": commit} if commit else {}
