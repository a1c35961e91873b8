"""What all parts of a study share: the base model, number types, and how a rule is refused."""

from typing import Annotated, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=64)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]
ProperFraction = Annotated[float, Field(gt=0, lt=1)]


class Spec(BaseModel):
    """Base of every part of a study: frozen, strict about keys, numbers never read from strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def refuse(found: str, expected: str, fix: str) -> NoReturn:
    """Refuse a value for a rule that no type states: what was found, expected, how to mend it."""
    raise PydanticCustomError("rule", "{found}", {"found": found, "expected": expected, "fix": fix})
