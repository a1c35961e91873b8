"""The training runs of a ladder: trunks at the peak rate, and the branches that end them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curricle.core.model_size import non_embedding_parameters
from curricle.models.flops import training_flops_per_token
from curricle.tasks.step import Step
from curricle.tasks.train import TrainingStep

STAGE = "scale"


@dataclass(frozen=True)
class LadderStep(TrainingStep):
    """A run of the ladder. With a `trunk` it is a branch, which begins with the trunk's state."""

    trunk: TrainingStep | None = None

    @property
    def name(self) -> str:
        """Curriculum, size, schedule, tokens and seed."""
        training = self.training
        kind = training.optimizer.schedule
        return f"{self.order.name}-{training.model.size}-{kind}-{training.tokens}-s{training.seed}"

    @property
    def label(self) -> str:
        """Curriculum, size, tokens and seed."""
        training = self.training
        part = "" if self.trunk is None else f" from {training.start_at}"
        what = f"{self.curriculum} {training.model.size}, {training.tokens} tokens{part}"
        return f"{what}, seed {training.seed}"

    @property
    def inputs(self) -> Mapping[str, Step]:
        """What it reads, and the trunk."""
        return {**super().inputs, **({"start": self.trunk} if self.trunk else {})}

    @property
    def flops(self) -> int:
        """Operations of the tokens that this run itself trains on."""
        training = self.training
        own = training.tokens - training.start_at
        return own * training_flops_per_token(training.model)

    @property
    def whole_flops(self) -> int:
        """Operations of the whole run, its trunk's included."""
        return self.training.tokens * training_flops_per_token(self.training.model)

    def columns(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """As of any run; operations are those of the whole run."""
        return {**super().columns(facts), "flops": self.whole_flops}


@dataclass(frozen=True)
class LadderRun:
    """A run that ends a budget, and its place in the ladder.

    `budget` counts from the smallest; `schedule` is its name in the study.
    """

    curriculum: str
    schedule: str
    budget: int
    step: LadderStep

    @property
    def place(self) -> dict[str, Any]:
        """The columns of the analysis' table that describe it."""
        training = self.step.training
        return {
            "curriculum": self.curriculum,
            "schedule": self.schedule,
            "budget": self.budget,
            "size": training.model.size,
            "parameters": non_embedding_parameters(training.model),
            "tokens": training.tokens,
            "flops": self.step.whole_flops,
            "seed": training.seed,
        }
