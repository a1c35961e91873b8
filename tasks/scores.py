"""Steps that score samples: statistics of their tokens, and learnability under a proxy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from curricle.core.jobs import SampleStatisticsSpec, ScoringSpec
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.models.jobs import Job
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step

if TYPE_CHECKING:
    from curricle.tasks.train import TrainingStep


@dataclass(frozen=True)
class SampleStatisticsStep(Step):
    """Model-free scores of a dataset's samples."""

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "score samples"
    statistics: SampleStatisticsSpec
    dataset: DatasetStep

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-statistics"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's spec."""
        return {"scores": "sample-statistics", **to_plain(self.statistics)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset."""
        return {"dataset": self.dataset}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Run the job in a worker."""
        return session.pool.run(Job("sample-statistics", self.statistics, inputs, folder))


@dataclass(frozen=True)
class LearnabilityStep(Step):
    """Learnability of every sample of a dataset under one seed's proxy."""

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "score samples"
    scoring: ScoringSpec
    proxy: "TrainingStep"
    dataset: DatasetStep

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-learnability"

    @property
    def label(self) -> str:
        """Dataset, and the proxy's seed."""
        return f"{self.name}, proxy of seed {self.proxy.training.seed}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's spec: the checkpoints' shares of the proxy's run."""
        return {"scores": "learnability", **to_plain(self.scoring)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The proxy's checkpoint and the dataset."""
        return {"checkpoint": self.proxy, "dataset": self.dataset}

    def rows(self, store: Store) -> list[dict[str, Any]]:
        """The proxy's rows of the results table, its FLOPs those of its training and of scoring."""
        spent = store.facts(self.artifact)["flops"]
        return [
            {**row, "curriculum": "", "flops": row["flops"] + spent}
            for row in self.proxy.rows(store)
        ]

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Run the job in a worker."""
        return session.pool.run(Job("score", self.scoring, inputs, folder))
