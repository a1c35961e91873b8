"""A study run from nothing again and again: does it find what it found the time before?

Each run has a store of its own below that of the study, so that nothing is taken from an earlier
one. The last two that came to their end stay, and what has failed until another one has ended.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from curricle.analysis.study_difference import CellDifference, StudyDifference, compare_results
from curricle.core.store import Store
from curricle.recipes.loading import load_study
from curricle.tasks.plan import StudyPlan
from curricle.tasks.results import collect_results

FOLDER, MEMORY = ".regression", "runs.json"
KEPT = 2
SURE = ("better", "worse")


class Regression:
    """The runs of one study, newest last; `settings` says how one of them is run."""

    def __init__(self, study: str, overrides: Sequence[str]) -> None:
        spec = load_study(study, overrides)
        self.study, self._overrides, self._name = study, list(overrides), spec.name
        self._store = Store(spec.store)
        self._folder = f"{self._store.base}/{FOLDER}/{spec.name}"
        self._memory = f"{FOLDER}/{spec.name}/{MEMORY}"

    @property
    def ended(self) -> list[str]:
        """The last runs that came to their end, newest last."""
        return self._remembered()["ended"]

    def settings(self, run: str) -> list[str]:
        """The study's overrides in the run of that name."""
        store = f"{self._store.root.rstrip('/')}/{FOLDER}/{self._name}/{run}"
        return [*self._overrides, f"name={self._name}-regression", f"store={store}"]

    def compare(self, run: str) -> "Comparison | None":
        """The run against the last one before it; None for the first."""
        earlier = [name for name in self.ended if name != run]
        if not earlier:
            return None
        return Comparison(compare_results(self._results(earlier[-1]), self._results(run)))

    def begin(self, run: str) -> None:
        """Note a run before it makes anything; one that goes on after an interruption again."""
        memory = self._remembered()
        if run not in memory["begun"]:
            self._remember(memory["ended"], [*memory["begun"], run])

    def end(self, run: str) -> None:
        """Let the next run be compared with this one, and delete what nobody looks at any more.

        That is whatever began before it, but for the last that ended.
        """
        memory = self._remembered()
        ended = [*(name for name in memory["ended"] if name != run), run][-KEPT:]
        place = memory["begun"].index(run)
        dropped = [name for name in memory["begun"][:place] if name not in ended]
        self._remember(ended, [name for name in memory["begun"] if name not in dropped])
        for name in dropped:
            folder = f"{self._folder}/{name}"
            if self._store.files.exists(folder):
                self._store.files.rm(folder, recursive=True)

    def _remembered(self) -> dict[str, list[str]]:
        text = self._store.read_text(self._memory)
        return {"ended": [], "begun": []} if text is None else dict(json.loads(text))

    def _remember(self, ended: Sequence[str], begun: Sequence[str]) -> None:
        text = json.dumps({"ended": list(ended), "begun": list(begun)})
        self._store.write_text(self._memory, text)

    def _results(self, run: str) -> pd.DataFrame:
        plan = StudyPlan(load_study(self.study, self.settings(run)))
        return collect_results(plan, Store(plan.study.store))


@dataclass(frozen=True)
class Comparison:
    """What the later of two runs has otherwise."""

    difference: StudyDifference

    @property
    def changed(self) -> list[CellDifference]:
        """Cells with another number."""
        return [cell for cell in self.difference.cells if cell.verdict is not None]

    @property
    def is_sure(self) -> bool:
        """Whether cells differ by more than chance, or are in one of the runs alone."""
        apart = self.difference.only_first or self.difference.only_second
        return bool(apart) or any(cell.verdict in SURE for cell in self.changed)

    def __str__(self) -> str:
        cells, changed = len(self.difference.cells), self.changed
        parts = [f"all {cells} results are those of the run before, to the last digit"]
        if changed:
            sure = sum(cell.verdict in SURE for cell in changed)
            most = max(changed, key=lambda cell: abs(cell.difference))
            parts = [
                f"{len(changed)} of {cells} results differ from those of the run before, {sure} of "
                f"them surely; most of all {' '.join(most.cell)}, by {most.difference:+.4f}"
            ]
        for count, which in (
            (len(self.difference.only_first), "before"),
            (len(self.difference.only_second), "now"),
        ):
            parts += [f"{count} results were there only {which}"] if count else []
        return "; ".join(parts)
