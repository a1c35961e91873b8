"""What a run of the ladder reads, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.core.order_file import read_order, write_order
from curricle.core.scores_file import read_scores
from curricle.core.token_dataset import TokenDataset
from curricle.recipes.ordering import random_order
from curricle.recipes.specs.scaling import CurriculumPoint, DomainStages, ScoreStages
from curricle.recipes.stage_orders import arranged_by_stage, bins_of
from curricle.tasks.order import OrderStep, RandomOrderStep
from curricle.tasks.sample_scores import DocumentScoresStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StageMap:
    """Which stage every sample belongs to: its domain's, or its score's."""

    stages: DomainStages | ScoreStages
    scores: DocumentScoresStep | None

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The scores, where stages are bins of them."""
        return {"scores": self.scores} if self.scores else {}

    def read(self, dataset: TokenDataset, inputs: Mapping[str, Path]) -> Integers:
        """The stage of each sample, from 0 on. Raises InputError for a domain without a stage."""
        domains = dataset.domain_of_samples()
        if isinstance(self.stages, ScoreStages):
            assert self.scores is not None
            return bins_of(
                read_scores(inputs["scores"], self.scores.column),
                domains if self.stages.within == "domain" else np.zeros_like(domains),
                self.stages.bins,
                descending=self.stages.direction == "descending",
            )
        if set(dataset.domains) != set(self.stages.names):
            raise InputError(
                f"scaling.stages.order {list(self.stages.names)}",
                expected=f"the dataset's domains, {', '.join(dataset.domains)}, in any order",
                fix="name them all, or leave domains out with mix.without",
            )
        places = [self.stages.names.index(name) for name in dataset.domains]
        return np.asarray(places, dtype=np.int64)[domains]


@dataclass(frozen=True)
class LadderOrderStep(OrderStep):
    """The first `count` samples of a curriculum, of which `staged` are sorted by stage.

    `base` is the mix in random order, at least as long; one stage alone is drawn anew.
    """

    version: ClassVar[int] = 1
    curriculum: str
    point: CurriculumPoint
    base: RandomOrderStep
    stages: StageMap
    staged: int
    count: int

    @property
    def random(self) -> RandomOrderStep:
        """The static mix that it is compared with."""
        return self.base

    @property
    def name(self) -> str:
        """The curriculum's name."""
        return self.curriculum

    @property
    def spec(self) -> Mapping[str, Any]:
        """Stages, arrangement and lengths."""
        return {
            "order": "stages",
            "stages": self.stages.stages.model_dump(mode="json"),
            **self.point.model_dump(mode="json", exclude={"until"}),
            "staged": self.staged,
            "count": self.count,
        }

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset, the mix, and perhaps scores."""
        return {"dataset": self.base.dataset, "base": self.base, **self.stages.inputs}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `order.npy`."""
        del session
        dataset = TokenDataset(inputs["dataset"], self.base.pool.sequence_length)
        stages = self.stages.read(dataset, inputs)
        order = read_order(inputs["base"], len(dataset))
        seed = self.base.seed
        if self.point.arrange == "alone":
            assert self.point.stage is not None
            pool = np.flatnonzero(stages == self.stages.stages.names.index(self.point.stage))
            order = random_order(pool, self.count, seed)
        elif self.point.arrange != "mixed":
            order = arranged_by_stage(
                order,
                stages,
                self.staged,
                backward=self.point.arrange == "backward",
                rehearsal=self.point.rehearsal,
                seed=seed,
            )
        write_order(folder, order[: self.count])
        epochs = self.count / max(1, len(np.unique(order[: self.count])))
        return {"reads_per_sample": epochs}
