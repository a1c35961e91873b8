"""What a study would do and has done, stage by stage: the dry run and the status."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from curricle.core.plain import to_plain
from curricle.core.store import Artifact, Store
from curricle.recipes.study import Study
from curricle.tasks.expectation import Expectation, expectation
from curricle.tasks.plan import StudyPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.speed import Speed, speed_of
from curricle.tasks.step import Step, first_named
from curricle.tasks.train import TrainingStep
from curricle.tasks.upgrade import Upgrade, describe_rebuilt

SECONDS_PER_STEP = 0.3
START_SECONDS = 20


@dataclass(frozen=True)
class StageOverview:
    """One stage: steps in all and in the store, training runs, tokens, FLOPs and minutes to go.

    `flops_spent` and `job_hours` are what the steps in the store took: operations of training and
    scoring, and hours of jobs, each on a core or a device of its own. `running` names the steps
    that a process makes at this moment, `next` the first of the others that are missing. `rebuilt`
    counts, by reason, those that another version of the code has made already. `unknown` counts the
    scorings that minutes and FLOPs leave out, `assumed` says what the minutes rest on unless it was
    measured. `expected` is what the ranking can be expected to decide, once there are runs to tell
    it by.
    """

    stage: str
    steps: int
    done: int
    training_runs: int
    tokens: int
    flops: int
    minutes_to_go: float
    flops_spent: int = 0
    job_hours: float = 0.0
    running: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    rebuilt: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 0
    assumed: str = ""
    expected: Expectation | None = None

    def to_row(self) -> dict[str, Any]:
        """The fields by name."""
        row = asdict(self) | {"expected": None}
        return row if self.expected is None else row | {"expected": to_plain(self.expected)}


def overview(study: Study, stages: Sequence[str] | None = None) -> list[StageOverview]:
    """The study's stages, or those named.

    FLOPs are those of training, and the most that sharpness takes. Minutes are by the speed that
    finished proxies had with as many jobs at once, and a typical one otherwise. They have scoring
    in them once its dataset is there, whose size decides what it takes. Other evaluations hardly
    count, and a budget isn't counted in.
    """
    store = Store(study.store, create=False)
    plan = StudyPlan(study)
    layout = plan.layout(store)
    every = [step for steps in layout.values() for step in steps]
    done = {step.artifact for step in every if store.exists(step.artifact)}
    speed = speed_of(plan, store)
    rebuilt = Upgrade(store).reasons(step for step in every if step.artifact not in done)
    taken = store.being_built()
    begun = {step.artifact for step in every if step.artifact.fingerprint in taken} - done
    found = [
        _stage(name, steps, done, begun, store, speed, rebuilt)
        for name, steps in layout.items()
        if stages is None or name in stages
    ]
    expected = expectation(plan, store)
    return [replace(item, expected=expected) if item.stage == "rank" else item for item in found]


def render_overview(
    study: Study, stages: Sequence[StageOverview], price: float | None = None
) -> str:
    """The overview as a table for the terminal; `price` is that of an hour of a job."""
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
    expected = [item.expected.to_text() for item in stages if item.expected is not None]
    assumed = dict.fromkeys(item.assumed for item in stages if item.assumed)
    told = [*assumed, *expected, *_unknown(stages), *_rebuilt(stages), *_spent(stages, price)]
    return "\n".join([*lines, _line(total), *told, *_running(stages), *_next(stages)])


def _unknown(stages: Sequence[StageOverview]) -> Iterator[str]:
    """What the minutes leave out for now."""
    if count := sum(stage.unknown for stage in stages):
        proxies = "a proxy" if count == 1 else f"{count} proxies"
        yield f"not counted yet: scoring with {proxies}; known once the dataset is there"


def _rebuilt(stages: Sequence[StageOverview]) -> Iterator[str]:
    """What an upgrade of the code makes anew."""
    counts = sum((Counter(stage.rebuilt) for stage in stages), Counter[str]())
    return describe_rebuilt(counts)


def _spent(stages: Sequence[StageOverview], price: float | None) -> Iterator[str]:
    """What the study has cost so far."""
    hours = sum(item.job_hours for item in stages)
    if not hours:
        return
    money = "" if price is None else f", {hours * price:.2f} at {price:g} an hour"
    flops = sum(item.flops_spent for item in stages)
    yield f"so far: {flops:.2e} FLOPs of training and scoring in {hours:.2f} hours of jobs{money}"


def _running(stages: Sequence[StageOverview]) -> Iterator[str]:
    """What is being made, wherever."""
    if names := [name for stage in stages for name in stage.running]:
        yield f"running: {'; '.join(names)}"


def _next(stages: Sequence[StageOverview]) -> Iterator[str]:
    """What would be made next."""
    if stage := next((item for item in stages if item.next), None):
        left = stage.steps - stage.done - len(stage.running) - len(stage.next)
        more = f" and {left} more" if left else ""
        yield f"next: {stage.stage}: {'; '.join(stage.next)}{more}"


def _line(item: StageOverview) -> str:
    return (
        f"{item.stage:<10}{item.steps:>7}{item.done:>7}{item.training_runs:>6}"
        f"{item.tokens:>14,}{item.flops:>11.2e}{item.minutes_to_go:>15.1f}"
    )


def _stage(
    name: str,
    steps: Sequence[Step],
    done: Set[Artifact],
    begun: Set[Artifact],
    store: Store,
    speed: Speed,
    rebuilt: Mapping[Artifact, str],
) -> StageOverview:
    missing = [step for step in steps if step.artifact not in done]
    runs = [step for step in steps if isinstance(step, TrainingStep)]
    trained = [store.facts(run.artifact) for run in runs if run.artifact in done]
    scorings = [step for step in steps if isinstance(step, LearnabilityStep)]
    scored = [store.facts(step.artifact) for step in scorings if step.artifact in done]
    scoring = {step.artifact: _flops_of(step, store) for step in scorings}
    to_score = [scoring[step.artifact] for step in scorings if step.artifact not in done]
    operations = sum(step.flops for step in missing) + sum(filter(None, to_score))
    seconds = operations * speed.seconds_per_flop
    seconds += SECONDS_PER_STEP * len(missing)
    seconds += START_SECONDS if missing and name == "prepare" else 0
    return StageOverview(
        stage=name,
        steps=len(steps),
        done=len(steps) - len(missing),
        training_runs=len(runs),
        tokens=sum(run.training.tokens for run in runs),
        flops=sum(step.flops for step in steps) + sum(filter(None, scoring.values())),
        minutes_to_go=seconds / 60,
        flops_spent=sum(int(facts["training_flops"]) for facts in trained)
        + sum(int(facts["flops"]) for facts in scored),
        job_hours=sum(float(facts["seconds"]) for facts in (*trained, *scored)) / 3600,
        running=first_named([step for step in missing if step.artifact in begun]),
        next=first_named([step for step in missing if step.artifact not in begun]),
        rebuilt=Counter(rebuilt[step.artifact] for step in missing if step.artifact in rebuilt),
        unknown=to_score.count(None),
        assumed=speed.assumed if operations else "",
    )


def _flops_of(scoring: LearnabilityStep, store: Store) -> int | None:
    """None until the dataset is there."""
    if not store.exists(scoring.dataset.artifact):
        return None
    return scoring.flops_over(int(store.facts(scoring.dataset.artifact)["tokens"]))
