"""How fast this machine trains, as a study's own runs tell it."""

from curricle.core import provenance
from curricle.core.store import Store
from curricle.tasks.plan import StudyPlan

# Training ran at 55 to 85 GFLOP/s per core of a 2-core AMD EPYC for 2x64 and 4x128 models.
TYPICAL_FLOPS_PER_SECOND = 60e9


def seconds_per_flop(plan: StudyPlan, store: Store) -> float:
    """Time of one operation of training with all cores at work, as this study has measured it.

    A typical core's before any proxy has run.
    """
    cores = int(provenance.device_description()["cores"])
    runs = [*plan.band.runs, *(run for one in plan.rankings for run in one.runs())]
    facts = [store.facts(run.artifact) for run in runs if store.exists(run.artifact)]
    seconds = sum(item["seconds"] for item in facts)
    if not seconds:
        return 1 / (cores * TYPICAL_FLOPS_PER_SECOND)
    return float(seconds / sum(item["training_flops"] for item in facts)) / cores
