"""How fast this machine trains a study, as the study's own runs tell it."""

import os
from dataclasses import dataclass

from curricle.core.errors import InputError
from curricle.core.store import Store
from curricle.models.pool import jobs_at_once
from curricle.recipes.study import Study
from curricle.tasks.places import placement_of
from curricle.tasks.plan import StudyPlan
from curricle.tasks.session import threads_of

# Training ran at 55 to 85 GFLOP/s per core of a 2-core AMD EPYC for 2x64 and 4x128 models.
TYPICAL_OF_CORE = 60e9
# 871 TFLOP of 2x64 and 3x128 models took 11 workers 531 s on one NVIDIA H100; larger models, and
# fewer workers, get more out of it each, so a time by this is rather too long than too short.
TYPICAL_OF_GPU_JOB = 150e9


@dataclass(frozen=True)
class Speed:
    """Seconds that one operation of training takes, with as many jobs at once as the study has.

    `assumed` says what they rest on while no run of the study has been made so; else it is empty.
    """

    seconds_per_flop: float
    assumed: str = ""


def speed_of(plan: StudyPlan, store: Store) -> Speed:
    """The speed that the study's proxies had, made with as many jobs at once on the same kind of
    device; a typical one before any was.
    """
    accelerator, jobs = _at_once(plan.study)
    runs = [*plan.band.runs, *(run for one in plan.rankings for run in one.runs())]
    facts = [store.facts(run.artifact) for run in runs if store.exists(run.artifact)]
    alike = [
        item
        for item in facts
        if (item.get("accelerator"), item.get("workers")) == (accelerator, jobs)
    ]
    if seconds := sum(float(item["seconds"]) for item in alike):
        return Speed(seconds / sum(item["training_flops"] for item in alike) / jobs)
    return _typical(plan.study, accelerator, jobs)


def _at_once(study: Study) -> tuple[str, int]:
    """The kind of device that jobs run on, and how many do at once."""
    placement, workers = placement_of(study), study.hardware.workers
    try:
        return placement.resolved, jobs_at_once(workers, threads_of(study), placement)
    except InputError:
        # Planned on a machine without the GPUs: one job is the least that there will be.
        return "cuda", workers or 1


def _typical(study: Study, accelerator: str, jobs: int) -> Speed:
    if accelerator == "cuda":
        what, count, each = "job on a GPU", jobs, TYPICAL_OF_GPU_JOB
    else:
        wanted = jobs * study.hardware.devices * threads_of(study)
        what, count, each = "core", min(wanted, len(os.sched_getaffinity(0))), TYPICAL_OF_CORE
    told = f"{count} x {each / 1e9:.0f} GFLOP/s, what a {what} does with small models"
    return Speed(
        1 / (count * each),
        f"the time is assumed, by {told}: no proxy has run here with {jobs} at once yet",
    )
