"""What is measured on held-out data."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import PositiveFloat, PositiveInt, ProperFraction, Spec, refuse


class MultipleChoice(Spec):
    """The set built from docstrings of held-out files, and how it is asked.

    `subjects` are those asked about; none named: all.
    """

    shots: Annotated[int, Field(ge=0, le=5)] = 5
    subjects: tuple[str, ...] = ()
    questions: PositiveInt = 200


class Sharpness(Spec):
    """Curvature of the loss on a fixed held-out batch of `batch_size` samples.

    Both ends of the Hessian's spectrum by Lanczos, to a relative `tolerance` or for at most
    `max_iterations` Hessian-vector products, over all parameters and (`dense_layers`) over the
    layers' weight matrices alone; the trace from `trace_samples` products; the loss's rise in SAM's
    step of `sam_radius` and in adaptive SAM's of `asam_radius`; critical sharpness. A product costs
    as much as training on twice the batch. `micro_batch_size` bounds the memory. Each target is
    measured at `points` equal shares of its run, or `every` so many tokens of it (in whole steps),
    on checkpoints that it keeps, and at its end.
    """

    batch_size: PositiveInt = 8
    max_iterations: PositiveInt = 20
    tolerance: PositiveFloat = 0.01
    trace_samples: Annotated[int, Field(ge=0)] = 8
    sam_radius: PositiveFloat = 0.05
    asam_radius: PositiveFloat = 0.5
    dense_layers: bool = True
    micro_batch_size: PositiveInt | None = None
    points: PositiveInt = 1
    every: PositiveInt | None = None

    @model_validator(mode="after")
    def _trace_has_an_error(self) -> Self:
        if self.trace_samples == 1:
            refuse(
                "trace_samples 1",
                "at least 2, for a standard error, or 0 for no trace",
                "change trace_samples",
            )
        return self

    @model_validator(mode="after")
    def _one_spacing(self) -> Self:
        if self.every is not None and self.points > 1:
            refuse(
                f"points {self.points} and every {self.every}",
                "one of them: so many points, or one every so many tokens",
                "leave one out",
            )
        return self


class Evaluation(Spec):
    """Held-out data and what is measured on it.

    `validation_fraction` of the documents is set aside by hash before any recipe runs. Proxies are
    judged on `tokens_per_domain` of each domain, as are targets; a target's perplexity is measured
    document by document, with windows that overlap by all but `stride` tokens (default: not at
    all). `mmlu` names a folder, `.tar.gz`
    or Parquet file with the real MMLU, asked instead of the docstring questions.
    """

    validation_fraction: ProperFraction = 0.1
    tokens_per_domain: PositiveInt
    stride: PositiveInt | None = None
    weight_bits: Annotated[int, Field(ge=2, le=8)] | None = None
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
