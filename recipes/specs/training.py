"""How models are trained: the proxies that rank, and the targets."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curricle.core.jobs import AveragingSpec, ModelSpec, OptimizerSpec
from curricle.core.model_size import parameters
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


@dataclass(frozen=True, order=True)
class Setting:
    """What is tuned: one point of a grid."""

    learning_rate: float
    batch_size: int
    weight_decay: float


class Training(Shape):
    """Model size and optimizer settings that proxies and targets have in common.

    A run has `tokens`, or `tokens_per_parameter` times the model's parameters, embeddings included.
    A batch of `batch_size` samples is computed in micro-batches of `micro_batch_size` (default: in
    one). `wsd` keeps the peak rate until the last `decay_fraction` of the run. `precision: bf16`
    keeps fp32 master weights. `validate_every` measures held-out losses along the way, in tokens.
    """

    tokens: PositiveInt | None = None
    tokens_per_parameter: PositiveFloat | None = None
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

    @model_validator(mode="after")
    def _tokens_are_given_once(self) -> Self:
        if (self.tokens is None) == (self.tokens_per_parameter is None):
            refuse(
                "both of tokens and tokens_per_parameter"
                if self.tokens
                else "neither tokens nor tokens_per_parameter",
                "one of them",
                "give tokens: 1000000, or tokens_per_parameter: 20",
            )
        return self

    def tokens_for(self, model: ModelSpec) -> int:
        """Tokens of a run of this model."""
        return self.tokens or round((self.tokens_per_parameter or 0) * parameters(model))

    def at(self, setting: Setting) -> Self:
        """The same with the batch size and weight decay of a point of a grid."""
        changed = {"batch_size": setting.batch_size, "weight_decay": setting.weight_decay}
        return self.model_copy(update=changed)

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


class Grid(Spec):
    """Settings to try: every learning rate with every batch size and weight decay.

    Without `batch_sizes` or `weight_decays` the run's own is the only one.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    batch_sizes: tuple[PositiveInt, ...] = ()
    weight_decays: tuple[NonNegativeFloat, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in Grid.model_fields:
            values: tuple[float, ...] = getattr(self, name)
            if len(set(values)) < len(values):
                singular = name.removesuffix("s").split("_")[-1]
                refuse(f"{name} {list(values)}", f"each {singular} once", "remove the repeated one")
        return self

    def settings(self, training: Training) -> tuple[Setting, ...]:
        """The points of the grid around a run, in ascending order."""
        points = itertools.product(
            self.learning_rates,
            self.batch_sizes or (training.batch_size,),
            self.weight_decays or (training.weight_decay,),
        )
        return tuple(sorted(itertools.starmap(Setting, points)))


class Proxy(Training, Grid):
    """The small models that rank the recipes.

    Each recipe is trained at each of `learning_rates`. The smallest is the tiny rate, whose ranking
    counts; the largest is the standard rate it is compared with. With several `batch_sizes` or
    `weight_decays` the rankings are made at `batch_size` and `weight_decay`, and the rest serves
    the proxies that are tuned per recipe. `larger_batches` are tried at the standard rate alone,
    with the same tokens: another way of ranking at equal cost.
    """

    larger_batches: tuple[PositiveInt, ...] = ()

    @model_validator(mode="after")
    def _larger_batches_are_larger(self) -> Self:
        sizes = self.larger_batches
        if len(set(sizes)) < len(sizes) or min(sizes, default=math.inf) <= self.batch_size:
            refuse(
                f"larger_batches {list(sizes)} with batch_size {self.batch_size}",
                "sizes above batch_size, each once",
                "correct larger_batches",
            )
        return self

    def settings(self, training: Training) -> tuple[Setting, ...]:
        """The points of the grid and the larger batches, in ascending order."""
        standard = self.main(self.standard_rate)
        larger = (replace(standard, batch_size=size) for size in self.larger_batches)
        return tuple(sorted({*super().settings(training), *larger}))

    @property
    def tiny_rate(self) -> float:
        """The rate whose ranking counts."""
        return min(self.learning_rates)

    @property
    def standard_rate(self) -> float:
        """The rate usual practice would take; also judges recipes that differ only in order."""
        return max(self.learning_rates)

    def main(self, rate: float) -> Setting:
        """The setting that the ranking at this rate is made at."""
        return Setting(rate, self.batch_size, self.weight_decay)


class Tuning(Grid):
    """How the target is tuned for each recipe: the whole grid with `seeds` seeds of its own.

    The winning setting is trained again on the target's seeds, which had no part in the choice: the
    minimum over single runs flatters whoever had luck.
    """

    seeds: PositiveInt = 1


class Schedule(Spec):
    """Another way from the peak rate to the end; see `Training` for its settings."""

    schedule: Literal["constant", "linear", "cosine", "wsd"]
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    decay_fraction: ProperFraction = 0.2
    averaging: Averaging | None = None


class Target(Training):
    """The larger model that the proxies stand in for.

    With `tuning` it is tuned on every recipe, and the proxies' ranking is checked against that one.
    Without, `confirm` recipes (best, middle, bad control) are trained at its size and
    `learning_rate`. Curricula are compared at `learning_rate`.

    Under each of `schedules`, too, it is trained in random order and under each curriculum: a
    curriculum's gain may lie in what it reads while the rate falls. `longer` adds a random order of
    so many times the tokens, by which curricula are compared at equal cost.
    """

    learning_rate: PositiveFloat
    confirm: Annotated[int, Field(ge=2)] = 3
    tuning: Tuning | None = None
    schedules: Mapping[Name, Schedule] = Field(default_factory=dict)
    longer: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None

    @property
    def main(self) -> Setting:
        """The setting that curricula are compared at."""
        return Setting(self.learning_rate, self.batch_size, self.weight_decay)

    def under(self, schedule: Schedule) -> Self:
        """The same under another schedule."""
        changes = {key: getattr(schedule, key) for key in Schedule.model_fields}
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _schedules_have_names_of_their_own(self) -> Self:
        if self.schedule in self.schedules:
            refuse(
                f"schedules: {self.schedule!r}, as the target's own schedule is called",
                "names of their own",
                "rename it, or leave it out",
            )
        return self
