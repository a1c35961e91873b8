"""How the scores that curricula rank samples by are measured."""

from typing import Self

from pydantic import model_validator

from curricle.recipes.specs.base import (
    Fraction,
    PositiveFloat,
    PositiveInt,
    ProperFraction,
    Spec,
    refuse,
)


class Scoring(Spec):
    """How learnability is measured: a proxy per seed, trained on samples that no target reads.

    `holdout` is the share of the samples set aside for the proxy; `early` the share of its run
    after which the early checkpoint is taken, `late` those whose mean loss counts as late.
    """

    tokens: PositiveInt
    learning_rate: PositiveFloat
    holdout: ProperFraction = 0.3
    early: ProperFraction = 0.2
    late: tuple[Fraction, ...] = (0.8, 0.9, 1.0)

    @model_validator(mode="after")
    def _early_before_late(self) -> Self:
        if self.early >= min(self.late, default=0):
            refuse(
                f"early {self.early} with late {list(self.late)}",
                "an early checkpoint before all late ones",
                "lower early, or give later late checkpoints",
            )
        return self
