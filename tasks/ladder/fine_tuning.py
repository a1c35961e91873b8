"""What a fine-tuned model reads after its run: samples of one stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curricle.core.order_file import read_order, write_order
from curricle.core.seeds import derive_seed
from curricle.core.token_dataset import TokenDataset
from curricle.recipes.ordering import random_order
from curricle.tasks.ladder.orders import LadderOrderStep
from curricle.tasks.order import OrderStep, RandomOrderStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class FineTuneOrderStep(OrderStep):
    """`before`, and after it `count` samples of a stage in random order."""

    stage: str
    before: LadderOrderStep
    count: int

    @property
    def random(self) -> RandomOrderStep:
        """The static mix behind it."""
        return self.before.random

    @property
    def name(self) -> str:
        """What is read before, and after."""
        return f"{self.before.name}-then-{self.stage}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """Stage and count."""
        stages = self.before.stages.stages.model_dump(mode="json")
        return {"order": "then", "stages": stages, "stage": self.stage, "count": self.count}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset, the order before, and perhaps scores."""
        dataset = self.random.dataset
        return {"dataset": dataset, "before": self.before, **self.before.stages.inputs}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `order.npy`."""
        del session
        stages = self.before.stages
        dataset = TokenDataset(inputs["dataset"], self.random.pool.sequence_length)
        number = stages.stages.names.index(self.stage)
        pool = np.flatnonzero(stages.read(dataset, inputs) == number)
        seed = derive_seed(self.random.seed, "fine-tuning")
        after = random_order(pool, self.count, seed)
        write_order(folder, np.concatenate([read_order(inputs["before"], len(dataset)), after]))
        return {}
