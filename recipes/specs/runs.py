"""Rules that join a study's training settings with the length of its runs and its devices.

They are those of the training job, which would refuse hours later. Where the length follows from
the model's parameters it isn't known before the tokenizer is, and the job is left to judge.
"""

from curricle.core.errors import InputError
from curricle.core.training_rules import check_averaging, check_batches, check_schedule
from curricle.recipes.specs.base import refuse
from curricle.recipes.specs.training import Training


def check_training(
    label: str, training: Training, *, tokens: int | None, sequence_length: int, devices: int
) -> None:
    """Refuse what a run of `tokens` has no room for; `label` is the study's key of the run."""
    if tokens is None:
        return
    steps = tokens // (training.batch_size * sequence_length)
    try:
        check_schedule(training.optimizer_spec(1.0), steps)
        if training.averaging_spec is not None:
            check_averaging(training.averaging_spec, steps)
        check_batches(training.batch_size, training.micro_batch_size, devices)
    except InputError as error:
        refuse(f"{label}: {error.found}", error.expected, error.fix)


def check_validation_points(label: str, training: Training, sequence_length: int) -> None:
    """Refuse validations along the way that fall between steps or behind the end."""
    every, per_step = training.validate_every, training.batch_size * sequence_length
    if every is None or training.tokens is None:
        return
    if not per_step <= every < training.tokens:
        refuse(
            f"{label}.validate_every {every}",
            f"at least a step of {per_step} tokens, and less than the run's {training.tokens}",
            f"change {label}.validate_every, or leave it out",
        )
