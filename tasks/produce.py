"""The one Prefect task: make a step's artifact unless the store has it."""

import heapq
import os
import queue
import time
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.utilities.annotations import quote

from curricle.core.errors import JobError, LostWorkerError
from curricle.core.store import Artifact
from curricle.tasks.progress import Stage
from curricle.tasks.session import Session, current_session
from curricle.tasks.step import InputFolders, Step
from curricle.tasks.upgrade import describe_rebuilt

THREADS = len(os.sched_getaffinity(0)) + 2
"""Steps under way at once. A thread mostly waits for a worker process; two more than there are
cores keep all of them fed while finished steps are written down.
"""
RETRIES = 2
RETRY_SECONDS = 5.0


def _has_lost_its_worker(task: object, task_run: object, state: "State[Any]") -> bool:
    """Whether Prefect shall try again: only for what another try may mend, and while all go on."""
    del task, task_run
    error = state.result(raise_on_failure=False)
    return isinstance(error, LostWorkerError) and current_session().first_error is None


# The store is the cache: it survives the process and proves what it holds, so Prefect's is off.
@task(
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_SECONDS,
    retry_jitter_factor=1.0,
    retry_condition_fn=_has_lost_its_worker,
)
def produce(step: Step, tolerated: bool = False) -> Artifact:
    """Make the step's artifact from its inputs' and return its reference.

    A job whose process was killed, or hung, is tried again, from its last snapshot. One that fails
    ends the study, unless it is `tolerated`: then the session remembers it.
    """
    session = current_session()
    if session.first_error is not None:
        raise JobError("not started, since another step failed")

    def build(folder: Path) -> Mapping[str, Any]:
        began = time.monotonic()
        facts = step.build(session, InputFolders(session.store, step), folder) or {}
        return {"seconds": time.monotonic() - began, **facts}

    try:
        artifact = session.store.produce(step.request, build)
    except BaseException as error:
        if isinstance(error, LostWorkerError) and task_run.run_count <= RETRIES:
            pass
        elif tolerated and isinstance(error, JobError):
            session.failures[step.label] = str(error).strip().splitlines()[-1]
        else:
            session.first_error = session.first_error or error
        raise
    _track(step, session)
    return artifact


def produce_all(stage: str, steps: Sequence[Step], *, tolerate: bool = False) -> None:
    """Make the artifacts of `steps` that the store lacks, each as soon as its inputs are there.

    `stage` names the progress bar. Raises the first error after the steps under way have ended;
    those waiting aren't started. With `tolerate` jobs may fail (diverge, or die with their worker):
    the other steps are made nevertheless, and the session's `failures` say what is missing.
    """
    session = current_session()
    wanted = _missing(steps, session)
    if not wanted:
        return
    inputs = _missing_inputs(wanted, session)
    for artifact in inputs:
        wanted.pop(artifact, None)
    bars = {
        **_announce(f"inputs for {stage}", inputs, session),
        **_announce(stage, wanted, session),
    }
    graph = {**inputs, **wanted}
    futures = _run(graph, wanted if tolerate else {}, bars, session)
    _tell_in_order(steps, session.failures)
    if session.first_error is not None:
        raise session.first_error
    for future in futures:
        future.result(raise_on_failure=not tolerate)


def _run(
    graph: Mapping[Artifact, Step],
    tolerated: Container[Artifact],
    bars: Mapping[Artifact, Stage],
    session: Session,
) -> list[PrefectFuture[Artifact]]:
    """Make all steps of a graph; once one has failed, those that wait aren't started.

    Of those whose inputs are there the first in the graph go first, which has what others need
    before what is wanted itself: a step that waits for a long row of inputs would else come after
    all the others, and leave the workers idle at the end.
    """
    order = TopologicalSorter(
        {artifact: _needs(step) & graph.keys() for artifact, step in graph.items()}
    )
    order.prepare()
    ended: queue.SimpleQueue[Artifact] = queue.SimpleQueue()

    def begin(artifact: Artifact) -> PrefectFuture[Artifact]:
        future = _submit(graph[artifact], artifact in tolerated)
        future.add_done_callback(lambda _: ended.put(artifact))
        return future

    artifacts = list(graph)
    places = {artifact: place for place, artifact in enumerate(artifacts)}
    ready: list[int] = []
    under_way: dict[Artifact, PrefectFuture[Artifact]] = {}
    finished: list[PrefectFuture[Artifact]] = []
    while True:
        for artifact in order.get_ready():
            heapq.heappush(ready, places[artifact])
        if session.first_error is None:
            # Whatever else there is to do, workers come first.
            while ready and len(under_way) < THREADS:
                artifact = artifacts[heapq.heappop(ready)]
                under_way[artifact] = begin(artifact)
            if finished:
                session.step_made()
        if not under_way:
            return finished
        artifact = ended.get()
        finished.append(under_way.pop(artifact))
        order.done(artifact)
        if session.first_error is None:
            bars[artifact].advance()


def _tell_in_order(steps: Iterable[Step], failures: dict[str, str]) -> None:
    """Put what failed in the order of `steps`, whichever failed first."""
    for step in steps:
        if step.label in failures:
            failures[step.label] = failures.pop(step.label)


def _missing(steps: Iterable[Step], session: Session) -> dict[Artifact, Step]:
    """Those of `steps` that the store lacks; the others are logged, if they haven't been."""
    missing: dict[Artifact, Step] = {}
    for step in steps:
        if session.store.exists(step.artifact):
            _track(step, session)
        else:
            missing.setdefault(step.artifact, step)
    return missing


def _missing_inputs(wanted: Mapping[Artifact, Step], session: Session) -> dict[Artifact, Step]:
    """What has to be made before steps that aren't there."""
    found: dict[Artifact, Step] = {}
    level = dict(wanted)
    while level:
        needed = [item for step in level.values() for item in (*step.inputs.values(), *step.aids)]
        level = {
            artifact: step
            for artifact, step in _missing(needed, session).items()
            if artifact not in found
        }
        found.update(level)
    return found


def _needs(step: Step) -> set[Artifact]:
    return {item.artifact for item in (*step.inputs.values(), *step.aids)}


def _announce(name: str, steps: Mapping[Artifact, Step], session: Session) -> dict[Artifact, Stage]:
    """Say what of it is made anew; the bar that counts each step."""
    if not steps:
        return {}
    _tell_rebuilt(name, steps.values(), session)
    return dict.fromkeys(steps, session.progress.stage(name, len(steps)))


def _submit(step: Step, tolerated: bool) -> PrefectFuture[Artifact]:
    named = produce.with_options(name=step.verb, task_run_name=f"{step.verb}: {step.label}")
    # Quoted, or Prefect would walk through the step's whole graph in search of futures.
    quoted: Any = quote(step)
    return named.submit(quoted, tolerated)


def _tell_rebuilt(stage: str, missing: Iterable[Step], session: Session) -> None:
    """Say, here and on Prefect's page, what is made anew by this version of the code."""
    reasons = session.upgrade.reasons(missing)
    session.rebuilt.update(reasons)
    for line in describe_rebuilt(Counter(reasons.values())):
        session.progress.tell(f"{stage}: {line}")
        get_run_logger().warning(line)


def _track(step: Step, session: Session) -> None:
    if (run := step.tracked_run(session)) is not None:
        session.tracker.log_run(run)
