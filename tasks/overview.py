"""What a study would do and has done, stage by stage: the dry run and the status."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curricle.core import provenance
from curricle.core.store import Store
from curricle.recipes.study import Study
from curricle.tasks.plan import StudyPlan
from curricle.tasks.step import Step
from curricle.tasks.train import TrainingStep

# Training ran at 55 to 85 GFLOP/s per core of a 2-core AMD EPYC for 2x64 and 4x128 models.
TYPICAL_FLOPS_PER_SECOND = 60e9
SECONDS_PER_STEP = 0.3
START_SECONDS = 20


@dataclass(frozen=True)
class StageOverview:
    """One stage: steps in all and in the store, training runs, tokens, FLOPs and minutes to go."""

    stage: str
    steps: int
    done: int
    training_runs: int
    tokens: int
    flops: int
    minutes_to_go: float

    def to_row(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def overview(study: Study, stages: Sequence[str] | None = None) -> list[StageOverview]:
    """The study's stages, or those named.

    FLOPs are those of training alone: what scoring and evaluation take depends on the size of
    datasets that don't exist yet. Minutes use this machine's own rate where the store has
    finished runs, and a typical core's otherwise.
    """
    store = Store(study.store, create=False)
    layout = StudyPlan(study).layout(store)
    every = [step for steps in layout.values() for step in steps]
    done = {step.artifact for step in every if store.exists(step.artifact)}
    cores = int(provenance.device_description()["cores"])
    rate = cores * _measured_rate([step for step in every if step.artifact in done], store)
    return [
        _stage(name, steps, [step for step in steps if step.artifact not in done], rate)
        for name, steps in layout.items()
        if stages is None or name in stages
    ]


def render_overview(study: Study, stages: Sequence[StageOverview]) -> str:
    """The overview as a table for the terminal."""
    lines = [
        f"study {study.name}, store {study.store}",
        f"{'stage':<10}{'steps':>7}{'done':>7}{'runs':>6}{'tokens':>14}{'FLOPs':>11}"
        f"{'minutes to go':>15}",
    ]
    lines += [_line(item) for item in stages]
    total = StageOverview(
        stage="all",
        steps=sum(item.steps for item in stages),
        done=sum(item.done for item in stages),
        training_runs=sum(item.training_runs for item in stages),
        tokens=sum(item.tokens for item in stages),
        flops=sum(item.flops for item in stages),
        minutes_to_go=sum(item.minutes_to_go for item in stages),
    )
    return "\n".join([*lines, _line(total)])


def _line(item: StageOverview) -> str:
    return (
        f"{item.stage:<10}{item.steps:>7}{item.done:>7}{item.training_runs:>6}"
        f"{item.tokens:>14,}{item.flops:>11.2e}{item.minutes_to_go:>15.1f}"
    )


def _stage(
    name: str, steps: Sequence[Step], missing: Sequence[Step], flops_per_second: float
) -> StageOverview:
    runs = [step for step in steps if isinstance(step, TrainingStep)]
    seconds = sum(step.flops for step in missing) / flops_per_second
    seconds += SECONDS_PER_STEP * len(missing)
    seconds += START_SECONDS if missing and name == "prepare" else 0
    return StageOverview(
        stage=name,
        steps=len(steps),
        done=len(steps) - len(missing),
        training_runs=len(runs),
        tokens=sum(run.training.tokens for run in runs),
        flops=sum(step.flops for step in steps),
        minutes_to_go=seconds / 60,
    )


def _measured_rate(done: Sequence[Step], store: Store) -> float:
    """Training FLOPs per second of one worker over the finished runs."""
    facts: list[Mapping[str, Any]] = [
        store.facts(step.artifact) for step in done if isinstance(step, TrainingStep)
    ]
    seconds = sum(item["seconds"] for item in facts)
    if not seconds:
        return TYPICAL_FLOPS_PER_SECOND
    return float(sum(item["training_flops"] for item in facts) / seconds)
