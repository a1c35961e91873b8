"""The ladder's numbers: which sizes, how many steps for which budget, where branches begin."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec
from curricle.core.model_size import non_embedding_parameters
from curricle.models.flops import training_flops_per_token
from curricle.recipes.ladder import LadderStudy
from curricle.recipes.specs.scaling import LadderSchedule


@dataclass(frozen=True)
class Size:
    """A model of the ladder and the steps of its budgets, ascending."""

    model: ModelSpec
    steps: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """Non-embedding parameters."""
        return non_embedding_parameters(self.model)


class Grid:
    """Sizes by ascending parameters. Raises InputError for sizes or budgets that don't differ."""

    def __init__(self, study: LadderStudy, vocabulary_size: int) -> None:
        self.study, self.scaling = study, study.scaling
        length = study.tokenizer.sequence_length
        self.tokens_per_step = study.scaling.batch_size * length
        models = [
            study.scaling.model_spec(shape, vocabulary_size, length)
            for shape in study.scaling.sizes
        ]
        models.sort(key=non_embedding_parameters)
        self.sizes = [Size(model, self._budgets(model)) for model in models]
        _check_distinct(self.sizes)
        self._check_warmup()

    def sizes_of(self, schedule: LadderSchedule) -> list[Size]:
        """The sizes that a schedule runs on, evenly spread, both ends included."""
        wanted = min(schedule.sizes or len(self.sizes), len(self.sizes))
        places = np.linspace(0, len(self.sizes) - 1, wanted).round().astype(int)
        return [self.sizes[place] for place in sorted(set(places.tolist()))]

    def budgets_of(self, size: Size, schedule: LadderSchedule) -> list[tuple[int, int]]:
        """(number of the budget, its steps), of the budgets that a schedule runs."""
        every = list(enumerate(size.steps))
        return every[-schedule.budgets :] if schedule.budgets else every

    def branch_step(self, steps: int, schedule: LadderSchedule) -> int:
        """The step at which a budget of so many steps leaves the trunk, and its decay begins."""
        return steps - max(1, round(schedule.decay_fraction * steps))

    def warmup(self, steps: int) -> float:
        """The warm-up as a share of a run's steps."""
        return self._warmup_steps / steps

    def staged(self, size: Size) -> int:
        """Samples before the decay of the shortest budget under the main schedule."""
        main = self.scaling.schedules[self.scaling.main_schedule]
        return self.branch_step(size.steps[0], main) * self.scaling.batch_size

    def validation_steps(self, steps: int) -> list[int]:
        """Steps of a run after which held-out losses are measured, growing geometrically."""
        if not self.scaling.validations:
            return []
        places = np.geomspace(max(1, steps // 64), steps, self.scaling.validations)
        return sorted(set(places.round().astype(int).tolist()))

    @property
    def _warmup_steps(self) -> int:
        return -(-self.scaling.warmup_tokens // self.tokens_per_step)

    def _budgets(self, model: ModelSpec) -> tuple[int, ...]:
        flops = training_flops_per_token(model)
        tokens = [budget.tokens_for(model, flops) for budget in self.scaling.budgets]
        steps = [count // self.tokens_per_step for count in tokens]
        if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
            raise InputError(
                f"budgets of {', '.join(map(str, tokens))} tokens for size {model.size}",
                expected=f"{self.tokens_per_step} more from each to the next, at every size",
                fix="put scaling.budgets in order from small to large, or give one kind alone",
            )
        if steps[0] < 2:
            raise InputError(
                f"a budget of {min(tokens)} tokens for size {model.size}",
                expected=f"at least two steps of {self.tokens_per_step} tokens",
                fix="raise the budget, or lower scaling.batch_size",
            )
        return tuple(steps)

    def _check_warmup(self) -> None:
        main = self.scaling.schedules[self.scaling.main_schedule]
        for size in self.sizes:
            first = self.branch_step(size.steps[0], main)
            if self._warmup_steps >= max(first, 1):
                raise InputError(
                    f"scaling.warmup_tokens {self.scaling.warmup_tokens}: size "
                    f"{size.model.size}'s first decay begins after {first} steps",
                    expected=f"fewer steps of {self.tokens_per_step} tokens",
                    fix="lower warmup_tokens, or raise the smallest budget",
                )


def _check_distinct(sizes: Sequence[Size]) -> None:
    names = [size.model.size for size in sizes]
    for one, other in itertools.pairwise(sizes):
        if one.parameters == other.parameters or names.count(one.model.size) > 1:
            raise InputError(
                f"sizes {one.model.size} and {other.model.size}: {one.parameters} and "
                f"{other.parameters} non-embedding parameters",
                expected="sizes that differ in shape and parameters",
                fix="remove one of them",
            )
