"""Learning-rate schedules: the rate as a pure function of the step."""

import math

from curricle.core.jobs import OptimizerSpec


def learning_rate_at(step: int, steps: int, spec: OptimizerSpec) -> float:
    """The rate of update `step` (from 0) of `steps`: linear warm-up, then the schedule.

    A schedule that isn't known, or that the run has no room for, is refused by
    `core.training_rules` before the run begins.
    """
    warmup = round(spec.warmup_fraction * steps)
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    if spec.schedule == "wsd":
        decay = max(1, round(spec.decay_fraction * steps))
        progress = max(0.0, (step - (steps - decay)) / decay)
    return spec.learning_rate * _decay(spec.schedule, progress, spec.final_fraction)


def _decay(schedule: str, progress: float, final_fraction: float) -> float:
    if schedule == "constant":
        return 1.0
    if schedule in ("linear", "wsd"):
        return 1.0 - (1.0 - final_fraction) * progress
    assert schedule == "cosine", schedule
    return final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * progress))
