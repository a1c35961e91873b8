"""Makes steps without Prefect and without workers."""

import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from curricle.core.store import Store
from curricle.models.attempts import EARLIER
from curricle.models.jobs import Job, run_job
from curricle.models.placement import Placement
from curricle.recipes.engine import IN_PROCESS, Engine
from curricle.tasks.session import Session
from curricle.tasks.step import InputFolders, Step, with_inputs


class InThisProcess:
    """A pool of workers without workers."""

    size = 1

    def run(self, job: Job) -> dict[str, Any]:
        """Run the job here and now."""
        started = time.monotonic()
        facts = run_job(job.to_message(Placement()))
        seconds = facts.pop(EARLIER) + time.monotonic() - started
        return {**facts, "seconds": seconds}


def session_of(engine: Engine = IN_PROCESS, store: Store | None = None) -> Session:
    """As much of a session as steps need."""
    return cast("Session", SimpleNamespace(engine=engine, store=store, pool=InThisProcess()))


def make(store: Store, steps: Iterable[Step], engine: Engine = IN_PROCESS) -> None:
    """Build steps, inputs first."""
    session = session_of(engine, store)
    for step in with_inputs(list(steps)):

        def build(folder: Path, step: Step = step) -> Any:
            return step.build(session, InputFolders(store, step), folder)

        store.produce(step.request, build)
