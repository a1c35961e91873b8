"""What `curricle status` says while a study runs."""

from pathlib import Path

import pytest

from curricle.core.store import Store
from curricle.models.flops import forward_flops_per_token
from curricle.recipes.loading import load_study
from curricle.tasks.overview import StageOverview, overview, render_overview
from curricle.tasks.plan import StudyPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.speed import seconds_per_flop


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
    seconds = len(scorings) * checkpoints * tokens * per_token * seconds_per_flop(plan, store)
    assert after.minutes_to_go - before.minutes_to_go == pytest.approx(seconds / 60)
