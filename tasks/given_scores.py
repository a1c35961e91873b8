"""The step that takes over scores which another study, or another program, has made."""

import functools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.errors import InputError
from curricle.core.scores_file import SCORES, read_scores
from curricle.core.store import Artifact, Store
from curricle.core.token_dataset import TokenDataset
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step


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
