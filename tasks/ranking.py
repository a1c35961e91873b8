"""The ranking step: statistics over training runs, one ranking per learning rate."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
    """Rank recipes by the held-out loss of `runs`, separately at each learning rate.

    At the rates in `order_blind` recipes that differ only in order are set aside: what a proxy
    learns at a tiny rate doesn't depend on the order.
    """

    kind: ClassVar[str] = "ranking"
    verb: ClassVar[str] = "rank"
    version: ClassVar[int] = 2
    title: str
    runs: tuple[TrainingStep, ...]
    baseline: str
    roles: Mapping[str, str]
    order_only: tuple[str, ...] = ()
    order_blind: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """`proxy` or `confirm`."""
        return self.title

    @property
    def spec(self) -> Mapping[str, Any]:
        """Who is compared with whom, in which role."""
        return {
            "baseline": self.baseline,
            "roles": dict(self.roles),
            "recipes": [run.recipe for run in self.runs],
            "order_only": self.order_only,
            "order_blind": self.order_blind,
        }

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The runs."""
        return {f"run-{number:04}": run for number, run in enumerate(self.runs)}

    def build(self, session: Session, inputs: Mapping[str, Path], folder: Path) -> None:
        """Write `ranking.json`: a ranking per learning rate."""
        del inputs
        table = results_table(row for run in self.runs for row in run.rows(session.store))
        rankings: dict[str, Ranking] = {}
        for rate in sorted({run.learning_rate for run in self.runs}):
            rows = ranking_table(table, stage=self.runs[0].stage, learning_rate=rate)
            blind = self.order_only if rate in self.order_blind else ()
            rankings[repr(rate)] = rank(rows, self.baseline, self.roles, order_only=blind)
        text = json.dumps(to_plain(rankings), indent=1) + "\n"
        (folder / RANKING).write_text(text, encoding="utf-8")

    def read(self, store: Store) -> dict[float, Ranking]:
        """The stored rankings by learning rate."""
        text = (store.folder(self.artifact) / RANKING).read_text(encoding="utf-8")
        return {float(rate): from_plain(Ranking, item) for rate, item in json.loads(text).items()}
