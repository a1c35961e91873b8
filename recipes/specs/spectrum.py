"""The spectrum as a source: its stages, how much of each, and how hard they are."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import PositiveInt, Spec, refuse

StageName = Literal["sentences", "next-sentence", "cloze", "facts", "multi-hop", "problems"]
STAGES: tuple[StageName, ...] = (
    "sentences",
    "next-sentence",
    "cloze",
    "facts",
    "multi-hop",
    "problems",
)
"""From simple to complex."""

_Ends = tuple[int, int]


class Difficulty(Spec):
    """Knobs of the worlds; each is a range, both ends included, drawn from anew in each episode.

    `people` in a passage (cloze, facts, multi-hop), so also choices; `hops` of a multi-hop question
    (2: the friend's city); `steps` of a problem; numbers go up to `largest`.
    """

    people: _Ends = (3, 4)
    hops: _Ends = (2, 2)
    steps: _Ends = (1, 3)
    largest: Annotated[int, Field(ge=9, le=99)] = 20

    @model_validator(mode="after")
    def _ranges_are_possible(self) -> Self:
        for name, lowest, highest in (("people", 2, 8), ("hops", 2, 4), ("steps", 1, 6)):
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                refuse(
                    f"{name} {[low, high]}",
                    f"a range within {lowest} to {highest}, the lower end first",
                    f"correct difficulty.{name}",
                )
        return self


class SpectrumSource(Spec):
    """Made-up text of graded difficulty, without limit; each stage is a domain.

    The tokenizer that goes with it is `tokenizer: {algorithm: spectrum}`. About `tokens_per_stage`
    words are written of each stage (before the split), by `seed`.
    """

    source: Literal["spectrum"]
    stages: tuple[StageName, ...] = Field(default=STAGES, min_length=1)
    tokens_per_stage: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0
    difficulty: Difficulty = Difficulty()

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains of its documents."""
        return self.stages

    @model_validator(mode="after")
    def _stages_differ(self) -> Self:
        if len(set(self.stages)) < len(self.stages):
            refuse(f"stages {list(self.stages)}", "each stage once", "remove the repeated one")
        return self
