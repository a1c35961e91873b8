"""Steps built in this process, as far as they need no workers."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from curricle.core.store import Store
from curricle.tasks.step import Step, with_inputs


def make(store: Store, steps: Iterable[Step]) -> None:
    """Build steps, inputs first."""
    for step in with_inputs(list(steps)):

        def build(folder: Path, step: Step = step) -> Any:
            inputs = {role: store.folder(item.artifact) for role, item in step.inputs.items()}
            return step.build(None, inputs, folder)  # type: ignore[arg-type]

        store.produce(step.request, build)
