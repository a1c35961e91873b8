"""Steps that a recipe's documents go through: what is measured of them, and what is made of them.

Each step of a recipe is an artifact of its own, so that recipes which begin alike share what they
share, and so is each measurement, so that recipes which differ in thresholds alone share it too.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.recipes.document_file import Documents
from curricle.recipes.measuring import measure
from curricle.recipes.named_texts import content_of
from curricle.recipes.specs.measurements import Measurement
from curricle.recipes.specs.steps import Step as RecipeStep
from curricle.recipes.steps import DOCUMENTS, read_accounts, run_step
from curricle.tasks.corpus import CorpusStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class MeasurementStep(Step):
    """Measure every document; knows no threshold."""

    kind: ClassVar[str] = "measurement"
    verb: ClassVar[str] = "measure documents"
    version: ClassVar[int] = 2
    measurement: Measurement
    documents: Step

    @property
    def name(self) -> str:
        """What is measured."""
        return self.measurement.measure

    @functools.cached_property
    def spec(self) -> Mapping[str, Any]:
        """The settings, and the content of the texts that they name."""
        spec = self.measurement
        content = content_of(spec.sources, spec.question_files, spec.score_files)
        return {**spec.identity, "content": content}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The documents."""
        return {"documents": self.documents}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write a value or signature for each document."""
        documents = Documents(table_of(self.documents, inputs["documents"]))
        return measure(self.measurement, documents, folder, session.engine)


@dataclass(frozen=True)
class DocumentsStep(Step):
    """Apply one step of a recipe to training documents."""

    kind: ClassVar[str] = "documents"
    verb: ClassVar[str] = "apply step"
    version: ClassVar[int] = 3
    step: RecipeStep
    documents: Step
    seed: int

    @property
    def name(self) -> str:
        """The step's name."""
        return self.step.step

    @functools.cached_property
    def spec(self) -> Mapping[str, Any]:
        """The settings, the content of the texts that they name, and the seed."""
        content = content_of(self.step.sources, score_files=self.step.score_files)
        return {**self.step.identity, "content": content, "seed": self.seed}

    @functools.cached_property
    def inputs(self) -> Mapping[str, Step]:
        """The documents, and what the step wants measured of them."""
        inputs: dict[str, Step] = {"documents": self.documents}
        if (measurement := self.step.measurement) is not None:
            inputs["measured"] = MeasurementStep(measurement, self.documents)
        return inputs

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the documents that stay, examples of the others, and an account."""
        before = inputs["documents"]
        accounts = run_step(
            self.step,
            Documents(table_of(self.documents, before)),
            inputs.get("measured"),
            self.seed,
            folder,
            accounts_of(self.documents, before),
            session.engine,
        )
        return accounts[-1]


def table_of(step: Step, folder: Path, split: str = "train") -> Path:
    """The document table in the folder of a corpus or of a recipe's step."""
    return folder / (f"{split}.parquet" if isinstance(step, CorpusStep) else DOCUMENTS)


def accounts_of(step: Step, folder: Path) -> list[dict[str, Any]]:
    """What the steps up to this one did; nothing for the corpus."""
    return [] if isinstance(step, CorpusStep) else read_accounts(folder)
