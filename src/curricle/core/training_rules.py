"""Rules that join a run's settings with its length.

Checked when a study is read and again when a job begins, so that nothing is refused late.
"""

from curricle.core.errors import InputError
from curricle.core.jobs import AveragingSpec, OptimizerSpec, TrainingSpec

SCHEDULES = ("constant", "linear", "cosine", "wsd")
AVERAGING_METHODS = ("ema", "last")


def check_run(spec: TrainingSpec, devices: int) -> None:
    """Raise InputError unless the run's settings fit one another, its length and its devices."""
    check_schedule(spec.optimizer, spec.steps)
    if spec.averaging is not None:
        check_averaging(spec.averaging, spec.steps)
    check_batches(spec.batch_size, spec.micro_batch_size, devices)
    for name in ("checkpoints_at", "validations_at", "states_at"):
        _check_points(name, getattr(spec, name), spec)
    if spec.start_at:
        _check_points("start_at", (spec.start_at,), spec)


def check_schedule(optimizer: OptimizerSpec, steps: int) -> None:
    """Raise InputError for a schedule that isn't known or has no room in a run of `steps`."""
    _check_known("schedule", optimizer.schedule, SCHEDULES)
    warmup = _whole_steps("warmup_fraction", optimizer.warmup_fraction, steps)
    if optimizer.schedule != "wsd":
        return
    decay = _whole_steps("decay_fraction", optimizer.decay_fraction, steps)
    if warmup + decay > steps:
        raise InputError(
            f"warmup_fraction {optimizer.warmup_fraction:g} with decay_fraction "
            f"{optimizer.decay_fraction:g}",
            expected="a warm-up that ends before the decay begins",
            fix="lower one of them",
        )


def check_averaging(averaging: AveragingSpec, steps: int) -> None:
    """Raise InputError for an average that isn't known or that a run of `steps` can't have."""
    _check_known("averaging method", averaging.method, AVERAGING_METHODS)
    if averaging.method == "ema":
        if not 0 < averaging.decay < 1:
            raise InputError(
                f"averaging.decay {averaging.decay:g}",
                expected="a number between 0 and 1",
                fix="0.999 is usual",
            )
        return
    if averaging.every < 1 or averaging.checkpoints < 1 or first_averaged(averaging, steps) < 1:
        raise InputError(
            f"{averaging.checkpoints} checkpoints every {averaging.every} steps in a run of "
            f"{steps} steps",
            expected="an average that fits the run",
            fix="lower averaging.checkpoints or averaging.every",
        )


def first_averaged(averaging: AveragingSpec, steps: int) -> int:
    """The step after which the first of the last `checkpoints` checkpoints is taken."""
    return steps - (averaging.checkpoints - 1) * averaging.every


def check_batches(batch_size: int, micro_batch_size: int | None, devices: int) -> None:
    """Raise InputError unless a batch has whole micro-batches that the devices can share."""
    micro = micro_batch_size or batch_size
    if batch_size % micro or micro % devices:
        raise InputError(
            f"batch_size {batch_size}, micro_batch_size {micro}, {devices} devices",
            expected="a batch of whole micro-batches, each shared out evenly over the devices",
            fix="change one of them",
        )


def _check_points(name: str, points: tuple[int, ...], spec: TrainingSpec) -> None:
    for at in points:
        if at % spec.tokens_per_step or not 0 < at <= spec.tokens:
            raise InputError(
                f"{name}: {at} tokens",
                expected=f"multiples of {spec.tokens_per_step} tokens (a step) up to {spec.tokens}",
                fix="round them to whole steps",
            )


def _whole_steps(name: str, fraction: float, steps: int) -> int:
    """`fraction` of `steps`; none only where none was asked for."""
    if not 0 <= fraction <= 1 or (fraction and not round(fraction * steps)):
        raise InputError(
            f"{name} {fraction:g} in a run of {steps} steps",
            expected="0, or a share of the run of at least one step",
            fix=f"take 0 or at least {1 / steps:.3g}, or train longer",
        )
    return round(fraction * steps)


def _check_known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{what} {value!r}", expected=f"one of {known}", fix="choose one")
