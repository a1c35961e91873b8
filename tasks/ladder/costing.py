"""What a ladder costs: runs, tokens, FLOPs and hours of each size, those on paper too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curricle.analysis import formatting
from curricle.core import provenance
from curricle.core.model_size import parameters
from curricle.core.store import Store
from curricle.models.flops import training_flops_per_token
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.ladder.runs import LadderStep
from curricle.tasks.upgrade import Upgrade, describe_rebuilt

# One thread of an AMD EPYC took 6.8 ms of processor time for an update of 2 x 24 on 8 x 96 tokens,
# which these give; larger models do 55 to 85 GFLOP/s alone on a core, so this is on the safe side.
FLOPS_PER_SECOND = 40e9
SECONDS_PER_UPDATE = 0.003
SECONDS_PER_JOB = 1.5
_PAPER_FLOPS = 6.0


@dataclass(frozen=True)
class SizeCost:
    """One size of the ladder: what its runs take in all, and what is still to be done.

    `budgets` are tokens; FLOPs and hours are those of `runs`, trunks counted once.
    """

    size: str
    non_embedding: int
    parameters: int
    budgets: tuple[int, ...]
    runs: int
    done: int
    flops: int
    hours_to_go: float

    @property
    def row(self) -> dict[str, str]:
        """The columns of a table."""
        return {
            "size": self.size,
            "N (non-embedding)": f"{self.non_embedding:,}",
            "parameters": f"{self.parameters:,}",
            "tokens": " ".join(
                formatting.quantity(tokens).replace(" ", "") for tokens in self.budgets
            ),
            "tokens/N": " ".join(f"{tokens / self.non_embedding:.3g}" for tokens in self.budgets),
            "runs": str(self.runs),
            "done": str(self.done),
            "FLOPs": f"{self.flops:.2e}",
            "hours": f"{self.hours_to_go:.2f}",
        }


@dataclass(frozen=True)
class PaperCost:
    """A size that isn't run: 6 N D operations, and hours on the machine that the study names."""

    parameters: float
    tokens: float
    flops: float
    hours: float


def size_costs(plan: LadderPlan, store: Store) -> list[SizeCost]:
    """Each size's runs, smallest first."""
    steps: dict[str, dict[str, LadderStep]] = {}
    for step in [*plan.trunks, *(run.step for run in [*plan.runs, *plan.tuned])]:
        steps.setdefault(step.training.model.size, {})[step.artifact.fingerprint] = step
    cores = int(provenance.device_description()["cores"])
    found = []
    for size in plan.grid.sizes:
        own = list(steps[size.model.size].values())
        left = [step for step in own if not store.exists(step.artifact)]
        per_step = plan.grid.tokens_per_step
        found.append(
            SizeCost(
                size=size.model.size,
                non_embedding=size.parameters,
                parameters=parameters(size.model),
                budgets=tuple(steps * per_step for steps in size.steps),
                runs=len(own),
                done=len(own) - len(left),
                flops=sum(step.flops for step in own),
                hours_to_go=sum(map(_seconds, left)) / cores / 3600,
            )
        )
    return found


def paper_costs(plan: LadderPlan) -> list[PaperCost]:
    """The sizes on paper."""
    paper = plan.scaling.paper
    found = []
    for size in paper.parameters:
        tokens = size * paper.tokens_per_parameter
        flops = _PAPER_FLOPS * size * tokens
        found.append(PaperCost(size, tokens, flops, flops / paper.flops_per_second / 3600))
    return found


def costs_to_plain(plan: LadderPlan, store: Store) -> dict[str, Any]:
    """JSON values of both."""
    return {
        "sizes": [vars(one) | {"budgets": list(one.budgets)} for one in size_costs(plan, store)],
        "paper": [vars(one) for one in paper_costs(plan)],
        "curricula": list(plan.scaling.curricula),
        "schedules": list(plan.scaling.schedules),
        "seeds": len(plan.seeds),
        "rebuilt": rebuilt(plan, store),
    }


def rebuilt(plan: LadderPlan, store: Store) -> Mapping[str, int]:
    """How many steps another version of the code has made already, by what has changed."""
    steps = [step for steps in plan.layout(store).values() for step in steps]
    missing = [step for step in steps if not store.exists(step.artifact)]
    return Counter(Upgrade(store).reasons(missing).values())


def render_costs(plan: LadderPlan, store: Store) -> str:
    """The ladder for the terminal."""
    costs = size_costs(plan, store)
    cores = provenance.device_description()["cores"]
    lines = [
        f"study {plan.study.name}, store {plan.study.store}",
        f"{len(costs)} sizes x curricula {', '.join(plan.scaling.curricula)} x {len(plan.seeds)} "
        f"seeds, schedules {', '.join(_schedules(plan))}; hours to go on {cores} cores",
        *_aligned([one.row for one in costs]),
        f"all: {sum(one.runs for one in costs)} runs, {sum(one.done for one in costs)} done, "
        f"{sum(one.flops for one in costs):.2e} FLOPs, "
        f"{sum(one.hours_to_go for one in costs):.2f} hours to go",
        *describe_rebuilt(rebuilt(plan, store)),
        "",
        "on paper, one run a size: 6 N D FLOPs, hours at "
        f"{formatting.quantity(plan.scaling.paper.flops_per_second, 'FLOP/s')}",
        *_aligned([_paper_row(one) for one in paper_costs(plan)]),
    ]
    return "\n".join(lines)


def _schedules(plan: LadderPlan) -> list[str]:
    return [
        f"{name} ({len(plan.grid.sizes_of(schedule))} sizes)"
        for name, schedule in plan.scaling.schedules.items()
    ]


def _paper_row(one: PaperCost) -> dict[str, str]:
    return {
        "N": formatting.quantity(one.parameters),
        "tokens": formatting.quantity(one.tokens),
        "FLOPs": f"{one.flops:.2e}",
        "hours": f"{one.hours:,.1f}",
    }


def _seconds(step: LadderStep) -> float:
    training = step.training
    own = (training.tokens - training.start_at) // training.tokens_per_step
    computing = own * training.tokens_per_step * training_flops_per_token(training.model)
    return computing / FLOPS_PER_SECOND + own * SECONDS_PER_UPDATE + SECONDS_PER_JOB


def _aligned(rows: Sequence[Mapping[str, str]]) -> list[str]:
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]
