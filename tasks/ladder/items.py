"""The evaluation set that every model of a ladder is asked, and the step that asks it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.choice_items import write_items
from curricle.core.jobs import ChoicesSpec
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.models.jobs import Job
from curricle.recipes.specs.spectrum import SpectrumSource
from curricle.recipes.spectrum.generating import identity, items
from curricle.tasks.session import Session
from curricle.tasks.step import Step
from curricle.tasks.tracking import TrackedRun
from curricle.tasks.train import TrainingStep


@dataclass(frozen=True)
class ItemsStep(Step):
    """Items of every family of the spectrum, about worlds that no training document is about."""

    kind: ClassVar[str] = "questions"
    verb: ClassVar[str] = "write items"
    source: SpectrumSource
    per_family: int
    validation_fraction: float
    seed: int

    @property
    def name(self) -> str:
        """What they are made of."""
        return "spectrum"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The source, how many, and what splits the worlds."""
        return {
            "source": {**identity(self.source), "tokens_per_stage": None},
            "per_family": self.per_family,
            "validation_fraction": self.validation_fraction,
            "seed": self.seed,
        }

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `items.parquet`."""
        del session, inputs
        found = items(self.source, self.per_family, self.validation_fraction, self.seed)
        return {"items": write_items(folder, found)}


@dataclass(frozen=True)
class ChoicesStep(Step):
    """A model's answers to the items."""

    kind: ClassVar[str] = "evaluation"
    verb: ClassVar[str] = "ask items"
    run: TrainingStep
    items: ItemsStep
    tokenizer: Step
    threads: int

    @property
    def name(self) -> str:
        """The run's name."""
        return f"items-{self.run.name}"

    @property
    def label(self) -> str:
        """The run's label."""
        return f"items to {self.run.label}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's kind and spec."""
        return {"evaluation": "choices", **to_plain(ChoicesSpec(threads=self.threads))}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The checkpoint, the items and the tokenizer."""
        return {"checkpoint": self.run, "items": self.items, "tokenizer": self.tokenizer}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Run the job in a worker."""
        job = Job("choices", ChoicesSpec(threads=self.threads), inputs, folder)
        return session.pool.run(job)

    def families(self, store: Store) -> list[dict[str, Any]]:
        """Scores by stage and family."""
        return list(store.facts(self.artifact)["families"])

    def tracked_run(self, session: Session) -> TrackedRun:
        """The evaluated run in MLflow, with its accuracies added."""
        values = {
            f"items/{metric}/{one['stage']}-{one['family']}": float(one[metric])
            for one in self.families(session.store)
            for metric in ("accuracy", "nats")
        }
        return self.run.tracked_run(session).addition(self.artifact.fingerprint, values)
