"""Does a curriculum's effect depend on the learning-rate schedule?"""

from dataclasses import dataclass

import pandas as pd

from curricle.analysis.scaling.differences import KEYS, mean_interval, paired
from curricle.analysis.scaling.fitting import CONFIDENCE
from curricle.analysis.verdicts import optional


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """A curriculum's difference to the static mix under two schedules, and the gap between them.

    `gap` is that under `schedule` minus that under the main one, mean over sizes and seeds, which
    its interval takes for independent. `certain` is whether the interval leaves zero out.
    """

    curriculum: str
    schedule: str
    budget: int
    main: float
    other: float
    gap: float
    low: float | None
    high: float | None
    runs: int

    @property
    def certain(self) -> bool:
        """Whether the effect surely depends on the schedule."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def interactions(
    runs: pd.DataFrame, control: str, main: str, *, confidence: float = CONFIDENCE
) -> tuple[Interaction, ...]:
    """All curricula under every further schedule, at each budget that both have.

    `runs` has the columns curriculum, schedule, budget, parameters, seed, loss. Intervals are joint
    over the family (Bonferroni).
    """
    pairs = [
        (str(schedule), int(str(budget)), rows)
        for (schedule, budget), rows in runs.groupby(["schedule", "budget"])
        if schedule != main
    ]
    curricula = [name for name in dict.fromkeys(runs["curriculum"]) if name != control]
    joint = 1 - (1 - confidence) / max(1, len(pairs) * len(curricula))
    found = []
    for schedule, budget, rows in pairs:
        under_main = runs[(runs["schedule"] == main) & (runs["budget"] == budget)]
        one = paired(under_main, "loss", control)
        other = paired(rows, "loss", control)
        both = other.merge(one, on=["curriculum", *KEYS], suffixes=("_other", "_main"))
        for name in curricula:
            mine = both[both["curriculum"] == name]
            if len(mine):
                found.append(_interaction(name, schedule, budget, mine, joint))
    return tuple(found)


def _interaction(
    name: str, schedule: str, budget: int, rows: pd.DataFrame, confidence: float
) -> Interaction:
    gap = rows["difference_other"] - rows["difference_main"]
    mean, margin = mean_interval(gap.to_numpy(), confidence)
    return Interaction(
        curriculum=name,
        schedule=schedule,
        budget=budget,
        main=float(rows["difference_main"].mean()),
        other=float(rows["difference_other"].mean()),
        gap=mean,
        low=optional(mean - margin),
        high=optional(mean + margin),
        runs=len(rows),
    )
