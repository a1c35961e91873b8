"""Curricula: what a run reads when, by a score of each sample; one model a kind of pacing.

All but stages read, position by position, the domains of the random order with the same seed, and
rank inside each domain (`within: domain`) or over all (`within: all`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from curricle.recipes.specs.base import (
    Fraction,
    Name,
    PositiveFloat,
    PositiveInt,
    ProperFraction,
    Spec,
    refuse,
)
from curricle.recipes.specs.training import MINIMUM_SEEDS

DEFAULT_PACING = "growing-pool"


class _Arms(Spec):
    """What all curricula have in common: `seeds`, the first so many of the target's (default: all).

    Its controls have as many; the random order has all.
    """

    seeds: Annotated[int, Field(ge=MINIMUM_SEEDS)] | None = None


class _Paced(_Arms):
    """What curricula made beforehand have in common.

    Samples are ranked by `score`, the highest first (`descending`) or the lowest. `scores` is the
    address of a scores artifact of the same dataset to take it from, of another family's or size's
    proxy, say. No sample is read more than `max_repeats` times.
    """

    score: str = "learnability"
    scores: str | None = None
    direction: Literal["descending", "ascending"] = "descending"
    within: Literal["domain", "all"] = "domain"
    max_repeats: PositiveInt | None = None

    @property
    def is_with_replacement(self) -> bool:
        """Whether a sample may be drawn again while others haven't been read."""
        return getattr(self, "drawing", None) == "with-replacement"


class _Drawn(_Paced):
    """A curriculum that draws from a part of the pool.

    `without-replacement`: samples that haven't been read come first, and once all that are open
    have been read, all are open again. `with-replacement`: each draw is from all that are open.
    """

    drawing: Literal["without-replacement", "with-replacement"] = "without-replacement"

    @model_validator(mode="after")
    def _repeats_can_be_capped(self) -> Self:
        if self.max_repeats is not None and self.is_with_replacement:
            refuse(
                "max_repeats with drawing with-replacement",
                "a cap on repeats only without replacement",
                "remove max_repeats, or draw without replacement",
            )
        return self


class GrowingPool(_Drawn):
    """A growing pool over ranked samples (Fan & Jaggi, arXiv 2310.15389).

    At progress p batches are drawn from the top `start_fraction + (1 - start_fraction) * p /
    full_at` of the samples. From `rescore_at` on they are ranked anew, by learnability under the
    target itself: its loss half-way there minus its loss there.
    """

    pacing: Literal["growing-pool"] = "growing-pool"
    start_fraction: Fraction = 0.25
    full_at: Fraction = 0.5
    rescore_at: ProperFraction | None = None

    @model_validator(mode="after")
    def _rescores_what_ages(self) -> Self:
        if self.rescore_at is not None and self.score != "learnability":
            refuse(
                f"rescore_at with score {self.score}",
                "rescore_at with learnability, the one score that a target can give",
                "remove rescore_at",
            )
        return self


class Sorted(_Paced):
    """The random order's samples, sorted."""

    pacing: Literal["sorted"]


class Bucketed(_Paced):
    """The random order's samples in `buckets` of falling score, each in random order."""

    pacing: Literal["bucketed"]
    buckets: Annotated[int, Field(ge=2)] = 10


class VShaped(_Paced):
    """The random order's samples from one end of the score to the other and back.

    The other end is reached at the share `turn` of the run.
    """

    pacing: Literal["v-shaped"]
    turn: ProperFraction = 0.5


class Interleaved(_Paced):
    """The random order's samples in `folds` falls through every so manieth rank (folding)."""

    pacing: Literal["interleaved"]
    folds: Annotated[int, Field(ge=2)] = 3


class WarmUp(_Paced):
    """The best `fraction` of the random order's samples first, sorted, then the rest at random."""

    pacing: Literal["warm-up"]
    fraction: ProperFraction = 0.1


class Oversampled(_Paced):
    """The V-curriculum of parameter-golf #737, made beforehand.

    Each batch is chosen from `oversampling` times as many random samples: those nearest to a
    percentile that goes from the first end of the score to the other, at `turn`, and back.
    """

    pacing: Literal["oversampled-v"]
    within: Literal["all"] = "all"
    oversampling: Annotated[int, Field(ge=2)] = 2
    turn: ProperFraction = 0.45


class Stage(Spec):
    """`tokens` of the run with a `mix` of domains (weights; default: the pool's own shares).

    Of each domain the `top` share by score is open.
    """

    tokens: PositiveInt
    mix: Mapping[Name, PositiveFloat] | None = Field(default=None, min_length=1)
    top: Fraction = 1.0


class Stages(_Drawn):
    """Stages in turn, each in random order; their tokens sum to the target's."""

    pacing: Literal["stages"]
    within: Literal["domain"] = "domain"
    stages: tuple[Stage, ...] = Field(min_length=1)


IRREDUCIBLE = "irreducible-loss"


def _irreducible(score: str) -> str:
    if score.partition("@")[0] != IRREDUCIBLE:
        refuse(
            f"rho-loss with score {score!r}",
            f"{IRREDUCIBLE}, or {IRREDUCIBLE}@PROXY with one of scoring.proxies",
            "choose one of these",
        )
    return score


class RhoLoss(_Arms):
    """Chosen while training: the largest loss now minus irreducible loss (arXiv 2206.07137).

    Of `oversampling` batches one is kept at each step. The irreducible loss is the scoring proxy's,
    or that of one of `scoring.proxies`: `irreducible-loss@PROXY`.
    """

    pacing: Literal["rho-loss"]
    oversampling: Annotated[int, Field(ge=2)] = 10
    score: Annotated[str, AfterValidator(_irreducible)] = IRREDUCIBLE
    scores: str | None = None


class OnlineEntropyV(_Arms):
    """Chosen while training: `oversampled-v` by unigram entropy, as parameter-golf #737 ran it.

    `twin` names the curriculum that makes the same choice beforehand, to be compared with at equal
    steps and at equal time.
    """

    pacing: Literal["online-entropy-v"]
    oversampling: Annotated[int, Field(ge=2)] = 2
    turn: ProperFraction = 0.45
    score: Literal["unigram-entropy"] = "unigram-entropy"
    scores: None = None
    twin: Name | None = None

    @property
    def beforehand(self) -> Oversampled:
        """The same choice, made before training; with as many seeds."""
        return Oversampled(
            pacing="oversampled-v",
            oversampling=self.oversampling,
            turn=self.turn,
            score=self.score,
            direction="ascending",
            seeds=self.seeds,
        )


def _default_pacing(value: Any) -> Any:
    if isinstance(value, Mapping) and "pacing" not in value:
        return {"pacing": DEFAULT_PACING, **value}
    return value


Precomputed = (
    GrowingPool | Sorted | Bucketed | VShaped | Interleaved | WarmUp | Oversampled | Stages
)
Online = RhoLoss | OnlineEntropyV
Curriculum = Annotated[
    Annotated[Precomputed | Online, Field(discriminator="pacing")],
    BeforeValidator(_default_pacing),
]


def check_twins(curricula: Mapping[str, Curriculum]) -> None:
    """Refuse a `twin` that doesn't make the same choice."""
    for name, twin in twins_of(curricula).items():
        online, other = curricula[name], curricula.get(twin)
        assert isinstance(online, OnlineEntropyV)
        if other != online.beforehand:
            wanted = online.beforehand.model_dump(exclude_defaults=True, exclude_none=True)
            refuse(
                f"curriculum {name!r} with twin {twin!r}",
                f"a curriculum of that name with {wanted}",
                "give it these settings, or leave twin out",
            )


def twins_of(curricula: Mapping[str, Curriculum]) -> dict[str, str]:
    """The twin of each curriculum that names one."""
    online = {
        name: item.twin for name, item in curricula.items() if isinstance(item, OnlineEntropyV)
    }
    return {name: twin for name, twin in online.items() if twin is not None}


def transfers_of(curricula: Mapping[str, Curriculum]) -> tuple[tuple[str, str], ...]:
    """Each curriculum with given scores, and each other that makes its own and is else the same.

    They may have different `seeds`.
    """
    alike = {"scores": None, "seeds": None}
    plain = {name: item.model_copy(update=alike) for name, item in curricula.items()}
    return tuple(
        (given, own)
        for given in curricula
        for own in curricula
        if curricula[given].scores is not None
        and curricula[own].scores is None
        and plain[given] == plain[own]
    )
