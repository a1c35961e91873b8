"""How models are trained: the proxies that rank, and the targets."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curricle.core.jobs import AveragingSpec, OptimizerSpec
from curricle.recipes.specs.base import (
    Name,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ProperFraction,
    Spec,
    refuse,
)
from curricle.recipes.specs.shape import Shape

MINIMUM_SEEDS = 3


class Averaging(Spec):
    """End a run with an average of its weights instead of the last ones.

    `ema`: exponential, with `decay` a step. `last`: the mean of the last `checkpoints` checkpoints,
    `every` steps apart.
    """

    method: Literal["ema", "last"]
    decay: ProperFraction = 0.999
    checkpoints: Annotated[int, Field(ge=2)] = 6
    every: PositiveInt = 1


class Training(Shape):
    """Model size and optimizer settings that proxies and targets have in common.

    A batch of `batch_size` samples is computed in micro-batches of `micro_batch_size` (default: in
    one). `wsd` keeps the peak rate until the last `decay_fraction` of the run. `precision: bf16`
    keeps fp32 master weights. `validate_every` measures held-out losses along the way, in tokens.
    """

    tokens: PositiveInt
    batch_size: PositiveInt = 8
    micro_batch_size: PositiveInt | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    averaging: Averaging | None = None
    validate_every: PositiveInt | None = None
    schedule: Literal["constant", "linear", "cosine", "wsd"] = "constant"
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    decay_fraction: ProperFraction = 0.2
    weight_decay: NonNegativeFloat = 0.1
    decay_all: bool = False
    gradient_clip: PositiveFloat = 1.0
    seeds: Annotated[int, Field(ge=MINIMUM_SEEDS)] = MINIMUM_SEEDS
    threads: PositiveInt = 1

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> Self:
        if self.batch_size % (self.micro_batch_size or 1):
            refuse(
                f"batch_size {self.batch_size} with micro_batch_size {self.micro_batch_size}",
                "a batch_size that is a multiple of micro_batch_size",
                "change one of them",
            )
        return self

    @property
    def averaging_spec(self) -> AveragingSpec | None:
        """The average the run ends with, as the job takes it."""
        return AveragingSpec(**self.averaging.model_dump()) if self.averaging else None

    def optimizer_spec(self, learning_rate: float) -> OptimizerSpec:
        """The optimizer at one peak rate."""
        return OptimizerSpec(
            learning_rate=learning_rate,
            schedule=self.schedule,
            warmup_fraction=self.warmup_fraction,
            final_fraction=self.final_fraction,
            decay_fraction=self.decay_fraction,
            weight_decay=self.weight_decay,
            decay_all=self.decay_all,
            gradient_clip=self.gradient_clip,
        )


class Proxy(Training):
    """The small models that rank the recipes.

    Each recipe is trained at each of `learning_rates`. The smallest is the tiny rate, whose ranking
    counts; the largest is the standard rate it is compared with.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rates_differ(self) -> Self:
        if len(set(self.learning_rates)) < len(self.learning_rates):
            refuse(
                f"learning_rates {list(self.learning_rates)}",
                "each rate once",
                "remove the repeated one",
            )
        return self

    @property
    def tiny_rate(self) -> float:
        """The rate whose ranking counts."""
        return min(self.learning_rates)

    @property
    def standard_rate(self) -> float:
        """The rate usual practice would take; also judges recipes that differ only in order."""
        return max(self.learning_rates)


class Schedule(Spec):
    """Another way from the peak rate to the end; see `Training` for its settings."""

    schedule: Literal["constant", "linear", "cosine", "wsd"]
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    decay_fraction: ProperFraction = 0.2
    averaging: Averaging | None = None


class Target(Training):
    """The larger model; `confirm` recipes (best, middle, bad control) are trained at its size.

    Under each of `schedules`, too, it is trained in random order and under each curriculum: a
    curriculum's gain may lie in what it reads while the rate falls. `longer` adds a random order of
    so many times the tokens, by which curricula are compared at equal cost.
    """

    learning_rate: PositiveFloat
    confirm: Annotated[int, Field(ge=2)] = 3
    schedules: Mapping[Name, Schedule] = Field(default_factory=dict)
    longer: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _schedules_have_names_of_their_own(self) -> Self:
        if self.schedule in self.schedules:
            refuse(
                f"schedules: {self.schedule!r}, as the target's own schedule is called",
                "names of their own",
                "rename it, or leave it out",
            )
        return self
