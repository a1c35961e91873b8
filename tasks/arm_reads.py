"""What the arms of a study read: with or without replacement, and how often the same."""

from collections.abc import Iterable, Sequence

from curricle.analysis.content import ArmReads
from curricle.core.store import Store
from curricle.tasks.order import CHOSEN
from curricle.tasks.plan import StudyPlan
from curricle.tasks.train import TrainingStep


def arm_reads(plan: StudyPlan, store: Store, recipe: str) -> tuple[ArmReads, ...]:
    """Of each arm that has been trained; none without curricula."""
    arms: dict[str, list[TrainingStep]] = {}
    for run in plan.curricula.target_runs(recipe) if plan.study.curricula else ():
        if store.exists(run.artifact):
            arms.setdefault(run.curriculum, []).append(run)
    return tuple(_of_arm(arm, runs, store) for arm, runs in arms.items())


def _of_arm(arm: str, runs: Sequence[TrainingStep], store: Store) -> ArmReads:
    if runs[0].training.selection is not None:  # its order holds all the candidates
        return ArmReads(arm=arm, drawing=CHOSEN)
    found = [run.order.repeats(store.facts(run.order.artifact)) for run in runs]
    return ArmReads(
        arm=arm,
        drawing=runs[0].order.drawing,
        distinct_samples=_ends(item.distinct_samples for item in found),
        most_reads=_ends(item.most_reads for item in found),
    )


def _ends(counts: Iterable[int | None]) -> tuple[int, int] | None:
    """The smallest and the largest of those that are known."""
    known = [count for count in counts if count is not None]
    return (min(known), max(known)) if known else None
