"""How much of each domain a dataset holds."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from curricle.recipes.specs.base import Name, PositiveFloat, PositiveInt, Spec, refuse


def _form(value: Any) -> str:
    return "by-domain" if isinstance(value, Mapping) else "for-all"


Weights = Annotated[
    Annotated[Literal["uniform", "natural"], Tag("for-all")]
    | Annotated[Mapping[Name, PositiveFloat], Tag("by-domain"), Field(min_length=1)],
    Discriminator(_form),
]
Repeats = Annotated[
    Annotated[PositiveInt, Tag("for-all")]
    | Annotated[Mapping[Name, PositiveInt], Tag("by-domain")],
    Discriminator(_form),
]


class Mix(Spec):
    """Each domain's share of the tokens, and how many tokens there are.

    `weights` are shares by domain (normalised; domains left out are dropped), `uniform`, or
    `natural`, those of the documents; natural shares are raised to the power 1 / `temperature`,
    which makes them more alike above 1. `without` leaves domains out. A document stands in the
    dataset at most `max_repeats` times (a number for all domains, or by domain, others once). The
    dataset has exactly `tokens`, or is as large as the scarcest domain allows. A mapping of domains
    alone means their weights.
    """

    weights: Weights = "natural"
    temperature: PositiveFloat = 1.0
    without: tuple[Name, ...] = ()
    max_repeats: Repeats = 1
    tokens: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _weights_alone(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not set(value) & set(cls.model_fields):
            return {"weights": value}
        return value

    @model_validator(mode="after")
    def _temperature_is_of_natural_shares(self) -> Self:
        if self.temperature != 1 and self.weights != "natural":
            refuse(
                f"temperature {self.temperature} with weights given otherwise",
                "a temperature of natural weights",
                "leave weights or temperature out",
            )
        return self

    def repeats_of(self, domain: str) -> int:
        """How often a document of the domain may stand in the dataset."""
        if isinstance(self.max_repeats, int):
            return self.max_repeats
        return self.max_repeats.get(domain, 1)
