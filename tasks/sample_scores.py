"""Steps that score samples without a model of their own: by their documents, or as given."""

import functools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.errors import InputError
from curricle.core.scores_file import SCORES, read_scores, write_scores
from curricle.core.store import Artifact, Store
from curricle.core.token_dataset import TokenDataset
from curricle.recipes.document_file import Documents
from curricle.recipes.measuring import read_columns
from curricle.recipes.sample_scores import sample_means
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
        dataset = TokenDataset(inputs["dataset"], self.sequence_length)
        domains = [dataset.domains[index] for index in dataset.domain_of_samples()]
        write_scores(folder, domains, {self.column: means})
        return {"samples": len(means), "flops": 0}


@dataclass(frozen=True)
class GivenScoresStep(Step):
    """Scores of the same dataset that a study names: an artifact of any store."""

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "read scores"
    address: str
    column: str
    dataset: DatasetStep
    sequence_length: int

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-given"

    @functools.cached_property
    def given(self) -> tuple[Store, Artifact]:
        """Store and artifact. Raises InputError if there is none, or it is of another dataset."""
        root, *key = self.address.rstrip("/").rsplit("/", 3)
        if len(key) == 3 and key[0] == "scores":
            store, artifact = Store(root, create=False), Artifact(*key)
            if store.exists(artifact):
                self._check_dataset(store.record(artifact)["inputs"])
                return store, artifact
        raise InputError(
            f"scores {self.address}: not there",
            expected="STORE/scores/NAME/FINGERPRINT with a record.json in it",
            fix="correct the address",
        )

    @property
    def spec(self) -> Mapping[str, Any]:
        """Which scores."""
        return {"scores": "given", "content": self.given[1].fingerprint}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset whose samples they score."""
        return {"dataset": self.dataset}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Copy the scores."""
        del session
        store, artifact = self.given
        source = store.folder(artifact)
        found = len(read_scores(source, self.column))
        samples = len(TokenDataset(inputs["dataset"], self.sequence_length))
        if found != samples:
            raise InputError(
                f"scores {self.address}: {found} samples",
                expected=f"the {samples} samples of dataset {self.dataset.name}",
                fix="score it with the sequence_length of this study",
            )
        shutil.copyfile(source / SCORES, folder / SCORES)
        return {"samples": samples, "flops": 0}

    def _check_dataset(self, inputs: Mapping[str, str]) -> None:
        scored = inputs.get("dataset", "none")
        if scored.rpartition("/")[2] != self.dataset.artifact.fingerprint:
            raise InputError(
                f"scores {self.address}: of dataset {scored}",
                expected=f"scores of {self.dataset.artifact.key}",
                fix="order the recipe that was scored, or score this one",
            )
