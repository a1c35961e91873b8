"""The step that finds the usable band of learning rates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.analysis.band import Start, UsableBand, usable_band
from curricle.analysis.results import AVERAGE, results_table
from curricle.core.plain import from_plain, to_plain
from curricle.core.store import Store
from curricle.tasks.baselines import BaselineStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step
from curricle.tasks.train import TrainingStep

BAND = "band.json"


@dataclass(frozen=True)
class BandStep(Step):
    """The band that short runs at several rates and the measured start leave open."""

    kind: ClassVar[str] = "ranking"
    verb: ClassVar[str] = "find the band"
    version: ClassVar[int] = 2
    runs: tuple[TrainingStep, ...]
    start: BaselineStep
    learning_rates: tuple[float, ...]

    @property
    def name(self) -> str:
        """What it is."""
        return "band"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The rates, and whose runs these are."""
        return {
            "learning_rates": self.learning_rates,
            "recipes": [run.recipe for run in self.runs],
        }

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The runs and the start."""
        runs = {f"run-{number:04}": run for number, run in enumerate(self.runs)}
        return {"start": self.start, **runs}

    def build(self, session: Session, inputs: Mapping[str, Path], folder: Path) -> None:
        """Write `band.json`."""
        del inputs
        table = results_table(row for run in self.runs for row in run.rows(session.store))
        losses = table[(table["metric"] == "validation/loss") & (table["domain"] != AVERAGE)]
        facts = self.start.facts(session.store)
        start = Start(
            rates=self.learning_rates,
            still_fp32=tuple(facts["still_fp32"]),
            still_bf16=tuple(facts["still_bf16"]),
            largest_eigenvalue=facts["largest_eigenvalue"],
            preconditioned_eigenvalue=facts["preconditioned_eigenvalue"],
        )
        text = json.dumps(to_plain(usable_band(losses, start)), indent=1) + "\n"
        (folder / BAND).write_text(text, encoding="utf-8")

    def read(self, store: Store) -> UsableBand:
        """The stored band."""
        text = (store.folder(self.artifact) / BAND).read_text(encoding="utf-8")
        return from_plain(UsableBand, json.loads(text))
