"""Steps built in this process, as far as they need no workers."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from curricle.core.store import Store
from curricle.recipes.engine import IN_PROCESS, Engine
from curricle.tasks.session import Session
from curricle.tasks.step import Step, with_inputs


def session_of(engine: Engine = IN_PROCESS) -> Session:
    """As much of a session as steps over documents need."""
    return cast("Session", SimpleNamespace(engine=engine))


def make(store: Store, steps: Iterable[Step], engine: Engine = IN_PROCESS) -> None:
    """Build steps, inputs first."""
    for step in with_inputs(list(steps)):

        def build(folder: Path, step: Step = step) -> Any:
            inputs = {role: store.folder(item.artifact) for role, item in step.inputs.items()}
            return step.build(session_of(engine), inputs, folder)

        store.produce(step.request, build)
