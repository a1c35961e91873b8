"""The ranking step: statistics over training runs that differ in recipe and seed alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from curricle.analysis.ranking import Ranking, rank
from curricle.analysis.results import ranking_table, results_table
from curricle.core.plain import from_plain, to_plain
from curricle.core.store import Store
from curricle.tasks.session import Session
from curricle.tasks.step import Step
from curricle.tasks.train import TrainingStep

RANKING = "ranking.json"


@dataclass(frozen=True)
class RankingStep(Step):
    """Rank recipes by the held-out loss of `runs`.

    `roles` names all recipes that were to be ranked: those without a run are told as missing.
    Recipes in `order_only` are set aside: what a proxy learns at a tiny rate doesn't depend on the
    order.
    """

    kind: ClassVar[str] = "ranking"
    verb: ClassVar[str] = "rank"
    version: ClassVar[int] = 4
    title: str
    runs: tuple[TrainingStep, ...]
    baseline: str
    roles: Mapping[str, str]
    order_only: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What was ranked."""
        return self.title

    @property
    def spec(self) -> Mapping[str, Any]:
        """Who is compared with whom, in which role."""
        return {
            "baseline": self.baseline,
            "roles": dict(self.roles),
            "recipes": [run.recipe for run in self.runs],
            "order_only": self.order_only,
        }

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The runs."""
        return {f"run-{number:04}": run for number, run in enumerate(self.runs)}

    def build(self, session: Session, inputs: Mapping[str, Path], folder: Path) -> None:
        """Write `ranking.json`."""
        del inputs
        table = results_table(row for run in self.runs for row in run.rows(session.store))
        rows = ranking_table(table, stage=self.runs[0].stage)
        ranking = rank(rows, self.baseline, self.roles, order_only=self.order_only)
        text = json.dumps(to_plain(ranking), indent=1) + "\n"
        (folder / RANKING).write_text(text, encoding="utf-8")

    def read(self, store: Store) -> Ranking:
        """The stored ranking."""
        text = (store.folder(self.artifact) / RANKING).read_text(encoding="utf-8")
        return from_plain(Ranking, json.loads(text))

    def over(self, runs: tuple[TrainingStep, ...]) -> "RankingStep | None":
        """The same ranking over some of its runs; None if they leave nothing to be ranked.

        That takes the baseline and another recipe that isn't set aside.
        """
        have = {run.recipe for run in runs} - set(self.order_only)
        if self.baseline not in have or len(have) < 2:
            return None
        return replace(self, runs=runs)
