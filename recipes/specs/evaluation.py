"""What is measured on held-out data."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import PositiveFloat, PositiveInt, ProperFraction, Spec, refuse


class MultipleChoice(Spec):
    """The set built from docstrings of held-out files, and how it is asked."""

    shots: Annotated[int, Field(ge=0, le=5)] = 5
    questions: PositiveInt = 200


class Sharpness(Spec):
    """Largest Hessian eigenvalue on a fixed held-out batch of `batch_size` samples."""

    batch_size: PositiveInt = 8
    max_iterations: PositiveInt = 20
    tolerance: PositiveFloat = 0.01


class Evaluation(Spec):
    """Held-out data and what is measured on it.

    `validation_fraction` of the documents is set aside by hash before any recipe runs. Proxies are
    judged on `tokens_per_domain` of each domain, as are targets. `mmlu` names a folder, `.tar.gz`
    or Parquet file with the real MMLU, asked instead of the docstring questions.
    """

    validation_fraction: ProperFraction = 0.1
    tokens_per_domain: PositiveInt
    multiple_choice: MultipleChoice | None = MultipleChoice()
    mmlu: str | None = None
    sharpness: Sharpness | None = Sharpness()

    @model_validator(mode="after")
    def _mmlu_is_asked(self) -> Self:
        if self.mmlu is not None and self.multiple_choice is None:
            refuse(
                "mmlu given while multiple_choice is null",
                "settings for how to ask it",
                "remove mmlu, or give multiple_choice: {shots: 5}",
            )
        return self
