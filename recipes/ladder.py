"""A ladder study: one frozen description of the runs that scaling laws are fitted to."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import Name, PositiveInt, ProperFraction, Spec, refuse
from curricle.recipes.specs.mix import Mix
from curricle.recipes.specs.recipe import TokenizerSpec
from curricle.recipes.specs.scaling import Scaling
from curricle.recipes.specs.sources import Source
from curricle.recipes.specs.spectrum import SpectrumSource
from curricle.recipes.study import Hardware, Tracking


class LadderEvaluation(Spec):
    """Held-out data: a share of the documents, tokens of each domain, items of each family.

    Items are asked where the corpora hold a spectrum.
    """

    validation_fraction: ProperFraction = 0.1
    tokens_per_domain: PositiveInt
    items_per_family: PositiveInt = 40


class LadderStudy(Spec):
    """A whole ladder study. `mix` says how much of each domain the training data holds."""

    name: Name
    store: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    corpora: Mapping[Name, Source] = Field(min_length=1)
    tokenizer: TokenizerSpec = TokenizerSpec()
    mix: Mix | None = None
    scaling: Scaling
    evaluation: LadderEvaluation
    tracking: Tracking = Tracking()
    hardware: Hardware = Hardware()

    @property
    def spectrum(self) -> SpectrumSource | None:
        """The made-up corpus, if there is one."""
        found = (one for one in self.corpora.values() if isinstance(one, SpectrumSource))
        return next(found, None)

    @model_validator(mode="after")
    def _one_spectrum(self) -> Self:
        made_up = [one for one in self.corpora.values() if isinstance(one, SpectrumSource)]
        if len(made_up) > 1:
            refuse("two corpora with source spectrum", "one at most", "remove one")
        if self.tokenizer.algorithm == "spectrum" and len(made_up) < len(self.corpora):
            refuse(
                "tokenizer spectrum with other corpora",
                "a closed vocabulary for made-up text alone",
                "choose byte-level-bpe, or leave the other corpora out",
            )
        return self

    @model_validator(mode="after")
    def _stages_are_written(self) -> Self:
        stages, source = self.scaling.stages, self.spectrum
        if source is None or len(self.corpora) > 1 or stages.by != "domain":
            return self
        if set(stages.names) != set(source.stages):
            refuse(
                f"scaling.stages.order {list(stages.names)}",
                f"the corpus' stages, {', '.join(source.stages)}, in any order",
                "name them all",
            )
        return self
