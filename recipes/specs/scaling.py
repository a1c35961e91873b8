"""The ladder: sizes x curricula x token budgets x schedules, and what is asked of every model."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from curricle.core.jobs import ModelSpec, OptimizerSpec
from curricle.core.model_size import non_embedding_parameters
from curricle.recipes.specs.base import (
    Fraction,
    Name,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ProperFraction,
    Spec,
    refuse,
)
from curricle.recipes.specs.measurements import StatisticName
from curricle.recipes.specs.shape import FamilyName, Shape
from curricle.recipes.specs.training import MINIMUM_SEEDS

REFERENCE_WIDTH = 64


class DomainStages(Spec):
    """Stages that are domains, from simple to complex."""

    by: Literal["domain"] = "domain"
    order: tuple[Name, ...] = Field(min_length=2)

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, simple ones first."""
        return self.order


class ScoreStages(Spec):
    """Stages that are bins of a statistic of the documents, equally large in samples.

    The simple end is the lowest (`ascending`) or the highest. Bins are made within each domain, so
    that all have the same mix of domains, or over all.
    """

    by: StatisticName
    bins: Annotated[int, Field(ge=2, le=16)] = 4
    direction: Literal["ascending", "descending"] = "ascending"
    within: Literal["domain", "all"] = "domain"

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, simple ones first."""
        return tuple(f"{self.by}-{number}" for number in range(1, self.bins + 1))


def _kind_of_stages(value: object) -> str:
    by = value.get("by", "domain") if isinstance(value, Mapping) else getattr(value, "by", "")
    return "domain" if by == "domain" else "score"


Stages = Annotated[
    Annotated[DomainStages, Tag("domain")] | Annotated[ScoreStages, Tag("score")],
    Discriminator(_kind_of_stages),
]


class CurriculumPoint(Spec):
    """When a run reads which stage.

    `mixed`: all stages at all times, the control. `forward` (the progression) and `backward` sort
    the very samples of the mix by stage: up to where the shortest budget's decay begins and mixed
    from there on (`until: first-decay`, so that budgets share one run), or over the whole of each
    budget (`until: end`). A share `rehearsal` of the samples keeps its place in the mix. `alone`
    reads one `stage` only.
    """

    arrange: Literal["mixed", "forward", "backward", "alone"]
    stage: Name | None = None
    until: Literal["first-decay", "end"] = "first-decay"
    rehearsal: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if (self.stage is not None) != (self.arrange == "alone"):
            refuse(
                f"arrange {self.arrange} {'with' if self.stage else 'without'} a stage",
                "a stage with arrange alone, and none with others",
                "add or remove stage",
            )
        if given := {"until", "rehearsal"} & self.model_fields_set and not self.is_sorted:
            refuse(f"arrange {self.arrange} with until or rehearsal", "neither", f"remove {given}")
        return self

    @property
    def is_sorted(self) -> bool:
        """Whether one stage is read after the other."""
        return self.arrange in ("forward", "backward")

    @property
    def shares_a_run(self) -> bool:
        """Whether every budget reads the beginning of what the next one reads."""
        return self.arrange in ("mixed", "alone") or self.until == "first-decay"


class Budget(Spec):
    """How long a size is trained: tokens, tokens per non-embedding parameter, or FLOPs."""

    tokens: PositiveInt | None = None
    tokens_per_parameter: PositiveFloat | None = None
    flops: PositiveFloat | None = None

    @model_validator(mode="after")
    def _given_once(self) -> Self:
        given = [name for name in Budget.model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            refuse(
                f"a budget given by {' and '.join(given) or 'nothing'}",
                "one of tokens, tokens_per_parameter, flops",
                "give one",
            )
        return self

    def tokens_for(self, model: ModelSpec, flops_per_token: int) -> int:
        """Tokens of this budget for a model."""
        if self.tokens is not None:
            return self.tokens
        if self.tokens_per_parameter is not None:
            return round(self.tokens_per_parameter * non_embedding_parameters(model))
        assert self.flops is not None
        return round(self.flops / flops_per_token)


class LadderSchedule(Spec):
    """A learning-rate schedule, on so many `sizes` (evenly spread, default: all).

    `budgets`: only so many of the largest. Under `wsd` the budgets of a size share one run at the
    peak rate (the trunk); the last `decay_fraction` of each is a branch of its own.
    """

    schedule: Literal["constant", "linear", "cosine", "wsd"] = "wsd"
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    decay_fraction: ProperFraction = 0.2
    sizes: Annotated[int, Field(ge=1)] | None = None
    budgets: PositiveInt | None = None

    @property
    def has_trunk(self) -> bool:
        """Whether the budgets of a size can share a run."""
        return self.schedule == "wsd"


class PaperSizes(Spec):
    """Sizes that are costed and not run, on a machine that does `flops_per_second`.

    The default is 40 % of the 989 TFLOP/s in bf16 that an H100's data sheet states.
    """

    parameters: tuple[PositiveFloat, ...] = (1e8, 1e9, 1e10, 1e11)
    tokens_per_parameter: PositiveFloat = 20.0
    flops_per_second: PositiveFloat = 4e14


class FineTuning(Spec):
    """A stage afterwards: the largest budget's model goes on with `tokens` of one stage.

    The rate falls linearly from `rate_fraction` of the peak to zero.
    """

    stage: Name
    tokens: PositiveInt
    rate_fraction: Fraction = 0.3


class Scaling(Spec):
    """The whole ladder.

    The first of `curricula` is the control, a static mix; the first of `schedules` is the main one,
    which all sizes and budgets run under. The learning rate at width w is `learning_rate` * (64 /
    w)^`rate_exponent`. Warm-up takes `warmup_tokens`. Held-out losses are measured `validations`
    times along the way, at token counts that grow geometrically.
    """

    stages: Stages
    sizes: tuple[Shape, ...] = Field(min_length=3)
    family: FamilyName | None = None
    budgets: tuple[Budget, ...] = Field(min_length=1)
    curricula: Mapping[Name, CurriculumPoint] = Field(min_length=2)
    schedules: Mapping[Name, LadderSchedule] = Field(
        default_factory=lambda: {"wsd": LadderSchedule()}, min_length=1
    )
    seeds: Annotated[int, Field(ge=MINIMUM_SEEDS)] = MINIMUM_SEEDS
    learning_rate: PositiveFloat
    rate_exponent: NonNegativeFloat = 0.0
    batch_size: PositiveInt = 8
    warmup_tokens: Annotated[int, Field(ge=0)] = 0
    weight_decay: NonNegativeFloat = 0.1
    gradient_clip: PositiveFloat = 1.0
    validations: Annotated[int, Field(ge=0)] = 12
    threads: PositiveInt = 1
    fine_tuning: FineTuning | None = None
    paper: PaperSizes = PaperSizes()

    @model_validator(mode="after")
    def _control_first(self) -> Self:
        first = next(iter(self.curricula))
        if self.curricula[first].arrange != "mixed":
            refuse(
                f"first curriculum {first!r} is arranged {self.curricula[first].arrange}",
                "the static mix first: all others are compared with it",
                "put `static: {arrange: mixed}` first",
            )
        return self

    @model_validator(mode="after")
    def _stages_are_known(self) -> Self:
        wanted = {name: point.stage for name, point in self.curricula.items() if point.stage}
        if self.fine_tuning:
            wanted["fine_tuning"] = self.fine_tuning.stage
        for name, stage in wanted.items():
            if stage not in self.stages.names:
                refuse(
                    f"{name}: stage {stage!r}",
                    f"one of {', '.join(self.stages.names)}",
                    "correct the stage",
                )
        return self

    @model_validator(mode="after")
    def _main_schedule_is_complete(self) -> Self:
        name, main = next(iter(self.schedules.items()))
        if main.sizes is not None or main.budgets is not None:
            refuse(
                f"first schedule {name!r} with sizes or budgets of its own",
                "all sizes and budgets under the first schedule",
                "remove them, or put another schedule first",
            )
        return self

    def model_spec(self, size: Shape, vocabulary: int, sequence_length: int) -> ModelSpec:
        """A size of the ladder under the study's tokenizer."""
        shape = (
            size if size.family or size.preset else size.model_copy(update={"family": self.family})
        )
        return shape.with_vocabulary(vocabulary, sequence_length)

    def optimizer_spec(self, schedule: LadderSchedule, width: int, warmup: float) -> OptimizerSpec:
        """The optimizer at a width; `warmup` is a share of the run's steps."""
        return OptimizerSpec(
            learning_rate=self.learning_rate * (REFERENCE_WIDTH / width) ** self.rate_exponent,
            schedule=schedule.schedule,
            warmup_fraction=warmup,
            final_fraction=schedule.final_fraction,
            decay_fraction=schedule.decay_fraction,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
        )

    @property
    def control(self) -> str:
        """The static mix's name."""
        return next(iter(self.curricula))

    @property
    def main_schedule(self) -> str:
        """The name of the schedule that all sizes run under."""
        return next(iter(self.schedules))
