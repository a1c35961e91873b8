"""What `curricle status` says while a study runs."""

import os
from pathlib import Path

import pytest

from curricle.core.store import Store
from curricle.models import placement
from curricle.models.flops import forward_flops_per_token
from curricle.recipes.loading import load_study
from curricle.tasks.overview import StageOverview, overview, render_overview
from curricle.tasks.plan import StudyPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.speed import TYPICAL_OF_CORE, TYPICAL_OF_GPU_JOB, Speed, speed_of
from curricle.tasks.train import TrainingStep


def test_what_somebody_builds_is_told_from_what_comes_next(
    tiny_study: Path, tmp_path: Path
) -> None:
    plan = StudyPlan(load_study(str(tiny_study), [f"store={tmp_path / 'store'}"]))
    store = Store(plan.study.store)
    corpus = plan.preparation.corpus
    named = f"{corpus.verb} {corpus.label}"

    def told(beginning: str) -> str:
        lines = render_overview(plan.study, overview(plan.study)).splitlines()
        return next((line for line in lines if line.startswith(beginning)), "")

    with store.claim(corpus.artifact.fingerprint):
        assert told("running: ") == f"running: {named}"
        assert named not in told("next: ")
    assert told("running: ") == ""
    assert named in told("next: ")


def test_scoring_is_in_the_minutes_once_its_dataset_is_there(
    tiny_study: Path, tmp_path: Path
) -> None:
    plan = StudyPlan(load_study(str(tiny_study), [f"store={tmp_path / 'store'}"]))
    store = Store(plan.study.store)
    scorings = [step for step in plan.layout(store)["score"] if isinstance(step, LearnabilityStep)]
    (dataset,) = {step.dataset.artifact: step.dataset for step in scorings}.values()

    def score_stage() -> StageOverview:
        (found,) = overview(plan.study, ["score"])
        return found

    before = score_stage()
    assert before.unknown == len(scorings) > 0
    assert f"scoring with {len(scorings)} proxies" in render_overview(plan.study, [before])
    tokens = 10**9
    store.produce(dataset.request, lambda _: {"tokens": tokens})
    after = score_stage()
    assert after.unknown == 0
    assert "scoring with" not in render_overview(plan.study, [after])
    per_token = forward_flops_per_token(scorings[0].proxy.training.model)
    checkpoints = 1 + len(scorings[0].scoring.late)
    assert after.flops - before.flops == len(scorings) * checkpoints * tokens * per_token
    each = speed_of(plan, store).seconds_per_flop
    seconds = len(scorings) * checkpoints * tokens * per_token * each
    assert after.minutes_to_go - before.minutes_to_go == pytest.approx(seconds / 60)


def _with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(placement, "cuda_devices", lambda: count)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count))))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


@pytest.mark.parametrize(
    ("settings", "jobs"),
    [((), 2), (("hardware.workers=5",), 5), (("hardware.devices=2",), 1)],
)
def test_a_gpu_has_as_many_jobs_at_once_as_the_pool_not_as_there_are_cores(
    settings: tuple[str, ...],
    jobs: int,
    tiny_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _with_gpus(monkeypatch, 2)
    plan = StudyPlan(load_study(str(tiny_study), [f"store={tmp_path / 'store'}", *settings]))
    store = Store(plan.study.store)
    assumed = speed_of(plan, store)
    assert assumed.seconds_per_flop == pytest.approx(1 / (jobs * TYPICAL_OF_GPU_JOB))
    assert f"{jobs} x 150 GFLOP/s, what a job on a GPU does" in assumed.assumed
    assert assumed.assumed in render_overview(plan.study, overview(plan.study))

    def store_run(run: TrainingStep, **company: object) -> None:
        facts = {"seconds": 8.0, "training_flops": 1000, "accelerator": "cuda", **company}
        store.produce(run.request, lambda _: facts)

    first, second, third, *_, last = plan.ranking.runs()
    store_run(first)
    store_run(second, workers=16)
    store_run(third, workers=jobs, accelerator="cpu")
    assert speed_of(plan, store) == assumed, "no run was made as the next ones will be"
    store_run(last, workers=jobs)
    assert speed_of(plan, store) == Speed(8.0 / 1000 / jobs)


def test_a_core_has_no_more_jobs_than_the_study_says(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_gpus(monkeypatch, 0)

    def seconds(*settings: str) -> float:
        study = load_study(str(tiny_study), [f"store={tmp_path / 'store'}", *settings])
        return speed_of(StudyPlan(study), Store(study.store)).seconds_per_flop

    assert seconds() == pytest.approx(1 / (16 * TYPICAL_OF_CORE))
    assert seconds("hardware.workers=3") == pytest.approx(1 / (3 * TYPICAL_OF_CORE))
    assert seconds("hardware.workers=3", "proxy.threads=4") == pytest.approx(
        1 / (12 * TYPICAL_OF_CORE)
    )
    # Planned on a machine without the GPU that is asked for.
    assert seconds("hardware.accelerator=cuda") == pytest.approx(1 / TYPICAL_OF_GPU_JOB)
