"""How the scores that curricula rank samples by are measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from curricle.recipes.proxy_scores import PROXY_SCORES
from curricle.recipes.specs.base import (
    Fraction,
    Name,
    PositiveFloat,
    PositiveInt,
    ProperFraction,
    Spec,
    refuse,
)
from curricle.recipes.specs.measurements import GivenScores
from curricle.recipes.specs.shape import Shape
from curricle.recipes.specs.training import Grid, Proxy
from curricle.recipes.text_statistics import STATISTICS

FROM_PROXY = tuple(name.replace("_", "-") for name in PROXY_SCORES)
FROM_TOKENS = ("unigram-entropy", "bigram-cross-entropy", "moore-lewis")
FROM_TEXT = tuple(STATISTICS)
LENGTH = "length"
BUILT_IN = (*FROM_PROXY, *FROM_TOKENS, *FROM_TEXT, LENGTH)

Weight = Annotated[float, Field(allow_inf_nan=False)]


_OF_RANKING = ("tokens", "tokens_per_parameter", "seeds", *Grid.model_fields)
"""What the proxies that rank have of their own: those that score have other tokens and rates."""


class FurtherProxy(Spec):
    """Another proxy that scores, of which only what differs is named.

    `proxy` are settings of its model and run, as a sweep's variant has them. It is trained for
    `tokens` at `learning_rate`, those of the study's own unless given, and is specialised by a
    `mix` of domains (weights; default: the shares of the samples set aside).
    """

    proxy: Mapping[str, Any] = Field(default_factory=dict)
    tokens: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    mix: Mapping[Name, PositiveFloat] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _settings_are_of_scoring(self) -> Self:
        if wrong := [name for name in self.proxy if name in _OF_RANKING]:
            refuse(
                f"a scoring proxy with proxy.{wrong[0]}",
                "settings of its model and its optimizer; a scoring run has one rate, and the "
                "target's seeds",
                "give tokens and learning_rate beside proxy, and leave others out",
            )
        return self


@dataclass(frozen=True, kw_only=True)
class ScoringProxy:
    """A proxy that scores: its settings, tokens among them, its rate and its mix of domains."""

    training: Proxy
    learning_rate: float
    mix: Mapping[str, float] | None = None

    def is_like(self, other: "ScoringProxy") -> bool:
        """Whether both are the same proxy, in whichever way their shapes are given."""
        return self._settings == other._settings

    @property
    def _settings(self) -> tuple[object, ...]:
        others = self.training.model_dump(exclude=set(Shape.model_fields))
        return self.training.with_vocabulary(1, 1), others, self.learning_rate, self.mix


class Scoring(Spec):
    """How samples are scored: by a proxy per seed, trained on samples that no target reads.

    `holdout` is the share of the samples set aside for the proxy; `early` the share of its run
    after which the early checkpoint is taken, `late` those whose mean loss counts as late.
    `compare` are further scores to measure and report. `columns` are numbers that a table has for
    each document, `combinations` weighted means of the ranks that scores give inside each domain.
    Each of `proxies` gives all scores of a proxy once more, named `SCORE@PROXY`.
    """

    tokens: PositiveInt
    learning_rate: PositiveFloat
    holdout: ProperFraction = 0.3
    early: ProperFraction = 0.2
    late: tuple[Fraction, ...] = (0.8, 0.9, 1.0)
    compare: tuple[str, ...] = ()
    columns: Mapping[Name, GivenScores] = Field(default_factory=dict)
    combinations: Mapping[Name, Annotated[Mapping[str, Weight], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    proxies: Mapping[Name, FurtherProxy] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _early_before_late(self) -> Self:
        if self.early >= min(self.late, default=0):
            refuse(
                f"early {self.early} with late {list(self.late)}",
                "an early checkpoint before all late ones",
                "lower early, or give later late checkpoints",
            )
        return self

    @model_validator(mode="after")
    def _scores_are_known(self) -> Self:
        for name in (*self.columns, *self.combinations):
            if name in BUILT_IN or (name in self.columns and name in self.combinations):
                refuse(f"score {name!r}, twice", "names of their own", "rename it")
        for name, column in self.columns.items():
            if column.missing != "error":
                refuse(
                    f"score {name!r}: documents without one dropped",
                    "a number for every document",
                    "leave missing out, or drop the documents in a recipe's step",
                )
        for name in self.compare:
            self.check_known(name)
        simple = (*BUILT_IN, *self.columns, *self._of_further_proxies)
        for name, weights in self.combinations.items():
            if unknown := sorted(set(weights) - set(simple)):
                refuse(f"{name}: score {unknown[0]!r}", f"one of {', '.join(simple)}", "choose one")
            if not any(weights.values()):
                refuse(f"{name}: no weight but 0", "a weight that counts", "raise one")
        return self

    def check_known(self, name: str) -> None:
        """Refuse a score that nothing measures."""
        known = (*self.columns, *self.combinations, *BUILT_IN, *self._of_further_proxies)
        if name not in known:
            refuse(f"score {name!r}", f"one of {', '.join(known)}", "choose one of these")

    @property
    def _of_further_proxies(self) -> tuple[str, ...]:
        return tuple(f"{score}@{proxy}" for proxy in self.proxies for score in FROM_PROXY)
