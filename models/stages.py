"""A measurement in several parts, each with steps of its own, that goes on after a kill."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from curricle.models.unfinished import Unfinished

Tensors = Mapping[str, Tensor]
Look = Callable[[Callable[[], Tensors]], None]
Part = Callable[[Tensors, Look], dict[str, Any]]


class Stages:
    """What the parts have found, and the state of the one that is under way.

    Without `unfinished` nothing is kept. `progress` is told how many steps are done.
    """

    def __init__(
        self,
        unfinished: Unfinished | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        snapshot = unfinished.restore() if unfinished else None
        self._unfinished, self._progress = unfinished, progress
        self._steps = snapshot.step if snapshot else 0
        self._found: dict[str, dict[str, Any]] = snapshot.facts if snapshot else {}
        self._kept: Tensors = snapshot.tensors if snapshot else {}

    def part(self, name: str, make: Part) -> dict[str, Any]:
        """What the part called `name` finds, JSON values; made only if it isn't known yet.

        `make` is given the tensors that its last `look` was shown, none at first, and a `look` to
        call between its steps. Raises InterruptedJobError if the job is to stop.
        """
        if name not in self._found:
            kept, self._kept = self._kept, {}
            self._found[name] = make(kept, self._look)
            self._look(dict)
        return self._found[name]

    def _look(self, tensors: Callable[[], Tensors]) -> None:
        self._steps += 1
        if self._progress:
            self._progress(self._steps)
        if self._unfinished:
            done = f"{self._steps} steps"
            self._unfinished.look(self._steps, done, lambda: (tensors(), self._found))
