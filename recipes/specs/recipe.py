"""A recipe, and the tokenizer that all recipes of a study share."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from curricle.recipes.specs.base import Name, PositiveFloat, Spec
from curricle.recipes.specs.steps import DIMENSION_OF_STEP, Step


class TokenizerSpec(Spec):
    """Byte-level BPE trained on the base corpus, one for all recipes, and the window length."""

    algorithm: Literal["byte-level-bpe"] = "byte-level-bpe"
    vocabulary_size: Annotated[int, Field(ge=257)] = 4096
    sequence_length: Annotated[int, Field(ge=2)] = 128


class OrderSpec(Spec):
    """The same samples as a random order, read sorted by a score of each sample."""

    by: Literal["unigram-entropy"]
    direction: Literal["ascending", "descending"] = "ascending"


class Recipe(Spec):
    """What is done to the base corpus: steps in turn, then a mix of domains, then an order.

    `mix` gives each domain's share of the tokens (normalised; domains left out are dropped). The
    dataset becomes as large as the scarcest domain allows without repeating a document.
    """

    role: Literal["candidate", "bad-control", "subtle-control"] = "candidate"
    steps: tuple[Step, ...] = ()
    mix: Mapping[Name, PositiveFloat] | None = None
    order: OrderSpec | None = None

    @property
    def dataset_spec(self) -> dict[str, Any]:
        """What decides the recipe's dataset; recipes that differ only in order share it."""
        return self.model_dump(mode="json", include={"steps", "mix"})

    @property
    def dimension(self) -> str:
        """The curation dimension this recipe varies, for grouping."""
        dimensions = {DIMENSION_OF_STEP[step.step] for step in self.steps}
        dimensions |= {"mixing"} if self.mix else set()
        dimensions |= {"ordering"} if self.order else set()
        return {0: "none", 1: next(iter(dimensions), "")}.get(len(dimensions), "combination")
