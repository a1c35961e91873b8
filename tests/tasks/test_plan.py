from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curricle.core.store import Artifact
from curricle.recipes.loading import load_study
from curricle.tasks.plan import StudyPlan
from curricle.tasks.step import Step, with_inputs


@pytest.fixture
def plan(tiny_study: Path) -> StudyPlan:
    return make_plan(tiny_study)


def make_plan(study: Path, *overrides: str) -> StudyPlan:
    return StudyPlan(load_study(str(study), overrides))


def fingerprints(steps: list[Any]) -> set[str]:
    return {step.artifact.fingerprint for step in steps}


def test_every_run_of_the_sweep_is_its_own(plan: StudyPlan) -> None:
    runs = plan.ranking.runs()
    assert len(fingerprints(runs)) == len(runs) == 4 * 2 * 3


def test_recipes_that_differ_in_order_alone_share_a_dataset(plan: StudyPlan) -> None:
    datasets = plan.preparation.datasets
    assert datasets["low-entropy-first"].artifact == datasets["untouched"].artifact
    assert len(fingerprints(list(datasets.values()))) == 3


def test_a_curriculum_brings_its_controls_with_each_seeds_own_scores(plan: StudyPlan) -> None:
    runs = plan.curricula.target_runs("untouched")
    arms = Counter(run.curriculum for run in runs)
    names = ("random", "learnability", "anti-learnability", "learnability-reshuffled")
    assert arms == dict.fromkeys(names, 3)
    scores = {
        (run.training.seed, run.order.inputs["scores"].artifact)
        for run in runs
        if run.curriculum != "random"
    }
    assert len(scores) == 3


def test_the_random_arm_is_the_confirmation_run(plan: StudyPlan) -> None:
    confirmed = fingerprints(plan.ranking.confirmation_runs(["untouched"]))
    random = [run for run in plan.curricula.target_runs("untouched") if run.curriculum == "random"]
    assert fingerprints(random) == confirmed


def test_scoring_proxies_read_what_no_target_reads(plan: StudyPlan) -> None:
    parts = {
        run.order.random.pool.part
        for score in plan.curricula.scores("untouched").values()
        for run in [score.proxy]
    }
    assert parts == {"proxy"}
    assert {run.order.random.pool.part for run in plan.curricula.target_runs("untouched")} == {
        "target"
    }


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("store=elsewhere", False),
        ("tracking.mlflow=http://127.0.0.1:1", False),
        ("name=other", False),
        ("seed=1", True),
        ("proxy.tokens=8192", True),
        ("proxy.threads=2", True),
        ("evaluation.tokens_per_domain=1024", True),
        ("tokenizer.vocabulary_size=500", True),
        ("target.width=64", False),
    ],
)
def test_what_changes_a_result_is_identity(tiny_study: Path, override: str, changed: bool) -> None:
    before = make_plan(tiny_study).ranking.step().artifact
    after = make_plan(tiny_study, override).ranking.step().artifact
    assert (before != after) == changed


def test_inputs_come_before_what_needs_them(plan: StudyPlan) -> None:
    seen: set[Artifact] = set()
    steps: list[Step] = list(
        with_inputs(plan.evaluation.steps(plan.curricula.target_runs("untouched")))
    )
    for step in steps:
        assert {item.artifact for item in step.inputs.values()} <= seen
        assert step.artifact not in seen
        seen.add(step.artifact)
