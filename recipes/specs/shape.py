"""A model's shape in a study: given outright, by a published name, or by its parameters."""

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curricle.core.errors import InputError
from curricle.core.families import widths_of
from curricle.core.jobs import ModelSpec
from curricle.core.model_size import with_non_embedding_parameters
from curricle.core.presets import preset
from curricle.recipes.specs.base import PositiveFloat, PositiveInt, Spec, refuse
from curricle.recipes.specs.recipe import TokenizerSpec

FamilyName = Literal["gpt2", "pythia", "opt", "llama"]


class Shape(Spec):
    """Family and size of a model.

    The size is given by exactly one of: `num_layers` with `width` and `num_heads`; `preset`, a
    published model, which brings its family; `non_embedding_parameters`, from which depth, width
    and heads follow. Vocabulary and length are the study's tokenizer's in each case. `family` is
    gpt2 unless given. `dropout` is the rate of all the dropouts that the family has.
    `initial_scale` multiplies the family's own standard deviations of fresh matrices.
    """

    family: FamilyName | None = None
    num_layers: PositiveInt | None = None
    width: PositiveInt | None = None
    num_heads: PositiveInt | None = None
    preset: str | None = None
    non_embedding_parameters: PositiveInt | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initial_scale: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _size_is_given_once(self) -> Self:
        outright = {
            "num_layers": self.num_layers,
            "width": self.width,
            "num_heads": self.num_heads,
        }
        given = [name for name, value in outright.items() if value]
        others = {"preset": self.preset, "non_embedding_parameters": self.non_embedding_parameters}
        given += [name for name, value in others.items() if value]
        if given not in (list(outright), ["preset"], ["non_embedding_parameters"]):
            refuse(
                f"a size given by {', '.join(given) or 'nothing'}",
                "num_layers with width and num_heads, or preset, or non_embedding_parameters",
                "give one of the three, whole and alone",
            )
        return self

    @model_validator(mode="after")
    def _shape_is_possible(self) -> Self:
        try:
            shape = self._shape()
            widths_of(shape)
        except InputError as error:
            refuse(error.found, error.expected, error.fix)
        if self.family not in (None, shape.family):
            refuse(
                f"family {self.family} with preset {self.preset}, which is {shape.family}",
                f"family {shape.family}, or none",
                "leave family out",
            )
        return self

    def model_spec(self, tokenizer: TokenizerSpec) -> ModelSpec:
        """The model under the study's tokenizer."""
        return self.with_vocabulary(tokenizer.vocabulary_size, tokenizer.sequence_length)

    def with_vocabulary(self, vocabulary_size: int, sequence_length: int) -> ModelSpec:
        """The model with a vocabulary and windows of a length."""
        return replace(
            self._shape(),
            vocabulary_size=vocabulary_size,
            sequence_length=sequence_length,
            dropout=self.dropout,
            initial_scale=self.initial_scale,
        )

    def _shape(self) -> ModelSpec:
        """The model; vocabulary and length are still open unless a preset brings its own."""
        if self.preset:
            return preset(self.preset)
        shape = ModelSpec(
            family=self.family or "gpt2",
            num_layers=self.num_layers or 1,
            width=self.width or 32,
            num_heads=self.num_heads or 1,
            vocabulary_size=1,
            sequence_length=1,
        )
        if self.non_embedding_parameters:
            return with_non_embedding_parameters(shape, self.non_embedding_parameters)
        return shape
