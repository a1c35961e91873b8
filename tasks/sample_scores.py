"""Steps that score samples without a model: by their text, their documents, or other scores."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq

from curricle.core.scores_file import column_of, read_halves, read_scores, write_scores
from curricle.core.token_dataset import DOCUMENTS, TokenDataset
from curricle.recipes.document_file import Documents
from curricle.recipes.given_scores import given_scores
from curricle.recipes.measuring import read_columns
from curricle.recipes.named_texts import content_of
from curricle.recipes.sample_scores import sample_means, weighted_ranks
from curricle.recipes.sample_texts import sample_text_statistics
from curricle.recipes.specs.measurements import GivenScores
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.documents import MeasurementStep, table_of
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class DocumentScoresStep(Step):
    """A statistic of the documents, as a score of the samples cut from them."""

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "score samples"
    statistic: str
    column: str
    measured: MeasurementStep
    dataset: DatasetStep
    sequence_length: int

    @property
    def name(self) -> str:
        """Dataset and statistic."""
        return f"{self.dataset.name}-{self.statistic}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """Statistic and window."""
        return {
            "scores": "of-documents",
            "statistic": self.statistic,
            "sequence_length": self.sequence_length,
        }

    @property
    def inputs(self) -> Mapping[str, Step]:
        """What was measured, of which documents, and the dataset made of them."""
        documents = self.measured.documents
        return {"measured": self.measured, "documents": documents, "dataset": self.dataset}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the scores."""
        del session
        table = table_of(self.measured.documents, inputs["documents"])
        names = Documents(table).column("id").to_pylist()
        values = read_columns(inputs["measured"])[self.statistic]
        by_id = dict(zip(names, values.tolist(), strict=True))
        means = sample_means(inputs["dataset"], self.sequence_length, by_id)
        domains = _domains(inputs["dataset"], self.sequence_length)
        write_scores(folder, domains, {self.column: means})
        return {"samples": len(means), "flops": 0}


@dataclass(frozen=True)
class SampleTextScoresStep(Step):
    """Statistics of the text that each sample shows."""

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "score samples"
    statistics: tuple[str, ...]
    dataset: DatasetStep
    tokenizer: Step
    sequence_length: int

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-texts"

    @property
    def spec(self) -> Mapping[str, Any]:
        """Statistics and window."""
        return {
            "scores": "of-texts",
            "statistics": self.statistics,
            "sequence_length": self.sequence_length,
        }

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset and its tokenizer."""
        return {"dataset": self.dataset, "tokenizer": self.tokenizer}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the scores."""
        del session
        found = sample_text_statistics(
            inputs["dataset"], inputs["tokenizer"], self.sequence_length, self.statistics
        )
        columns = {column_of(name): values for name, values in found.items()}
        domains = _domains(inputs["dataset"], self.sequence_length)
        whole = {name: values[0] for name, values in columns.items()}
        halves = {name: values[1:] for name, values in columns.items()}
        write_scores(folder, domains, whole, halves)
        return {"samples": len(domains), "flops": 0}


@dataclass(frozen=True)
class DocumentColumnStep(Step):
    """A number that each document brings, as a score of the samples cut from it.

    Without a table it is the document's length in tokens.
    """

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "score samples"
    score: str
    given: GivenScores | None
    dataset: DatasetStep
    sequence_length: int

    @property
    def name(self) -> str:
        """Dataset and score."""
        return f"{self.dataset.name}-{self.score}"

    @functools.cached_property
    def spec(self) -> Mapping[str, Any]:
        """Score, window, and the table's content."""
        spec = {"scores": "column", "score": self.score, "sequence_length": self.sequence_length}
        if self.given is None:
            return spec
        return {**spec, **self.given.identity, "content": content_of((), (), (self.given.scores,))}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset."""
        return {"dataset": self.dataset}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the scores."""
        del session
        by_id = self._by_id(inputs["dataset"])
        means = sample_means(inputs["dataset"], self.sequence_length, by_id)
        domains = _domains(inputs["dataset"], self.sequence_length)
        write_scores(folder, domains, {column_of(self.score): means})
        return {"samples": len(means), "flops": 0}

    def check(self, dataset: Path) -> None:
        """Raise InputError unless the table has a number for each document of a dataset's folder.

        A length needs no table.
        """
        if self.given is not None:
            self._by_id(dataset)

    def _by_id(self, dataset: Path) -> dict[str, float]:
        """The number of each document in a dataset's folder."""
        table = pq.read_table(dataset / DOCUMENTS, columns=["id", "tokens"])
        if self.given is None:
            values = table["tokens"].to_numpy().astype(np.float64)
        else:
            values = given_scores(self.given, table["id"])
        return dict(zip(table["id"].to_pylist(), values.tolist(), strict=True))


@dataclass(frozen=True)
class CombinedScoresStep(Step):
    """The weighted mean of the ranks that several scores give the samples of each domain."""

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "combine scores"
    score: str
    weights: Mapping[str, float]
    parts: Mapping[str, Step]
    dataset: DatasetStep
    sequence_length: int

    @property
    def name(self) -> str:
        """Dataset and score."""
        return f"{self.dataset.name}-{self.score}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The weights."""
        return {"scores": "combination", "score": self.score, "weights": dict(self.weights)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset and the scores combined, by score."""
        return {"dataset": self.dataset, **self.parts}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the combination; of the halves too where all parts have been measured on them."""
        del session
        domains = _domains(inputs["dataset"], self.sequence_length)
        columns = {name: column_of(name) for name in self.weights}
        whole = {name: read_scores(inputs[name], columns[name]) for name in self.weights}
        combined = weighted_ranks(whole, self.weights, domains)
        halves = {name: read_halves(inputs[name], columns[name]) for name in self.weights}
        found = {name: values for name, values in halves.items() if values is not None}
        column = column_of(self.score)
        of_halves = {}
        if len(found) == len(self.weights):
            parts = [{name: values[half] for name, values in found.items()} for half in (0, 1)]
            both = [weighted_ranks(part, self.weights, domains) for part in parts]
            of_halves = {column: np.stack(both)}
        write_scores(folder, domains, {column: combined}, of_halves)
        return {"samples": len(domains), "flops": 0}


def _domains(dataset: Path, sequence_length: int) -> list[str]:
    """The domain of each sample."""
    opened = TokenDataset(dataset, sequence_length)
    return [opened.domains[index] for index in opened.domain_of_samples()]
