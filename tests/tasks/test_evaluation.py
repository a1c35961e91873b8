"""Evaluation steps: what is measured where, under which names, and at which place of the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from curricle.core.errors import InputError
from curricle.core.jobs import SharpnessSpec
from curricle.core.store import Store
from curricle.recipes.loading import load_study
from curricle.tasks.evaluation import EvaluationStep
from curricle.tasks.plan import StudyPlan
from curricle.tasks.step import Step

ENTRY = {
    "perplexity": 20.0,
    "perplexity_low": 18.0,
    "perplexity_high": 23.0,
    "bits_per_byte": 1.5,
    "bits_per_byte_low": None,
    "bits_per_byte_high": None,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def steps_of(study: Path, kind: str, *overrides: str) -> list[EvaluationStep]:
    plan = StudyPlan(load_study(str(study), overrides))
    steps = plan.evaluation.steps(plan.curricula.target_runs("untouched")[:1])
    return [step for step in steps if step.job_kind == kind]


def keep(store: Store, step: Step, facts: Mapping[str, Any]) -> None:
    store.produce(step.request, lambda _: facts)


def test_perplexity_has_rows_for_domains_and_their_mean(tiny_study: Path, store: Store) -> None:
    (step,) = steps_of(tiny_study, "perplexity", "evaluation.stride=4")
    assert step.spec["stride"] == 4
    keep(store, step, {"domains": {"prose": ENTRY}, "average": ENTRY, "overall": ENTRY})
    values = step.values(store)
    assert values["validation/perplexity", "average"] == 20.0
    assert values["validation/perplexity_low", "prose"] == 18.0
    assert ("validation/bits_per_byte_low", "prose") not in values


def test_sharpness_is_measured_along_the_run_on_kept_checkpoints(
    tiny_study: Path, store: Store
) -> None:
    steps = steps_of(tiny_study, "sharpness", "evaluation.sharpness.points=4")
    run = steps[0].run
    # 4,096 tokens in steps of 8 x 32.
    assert [step.checkpoint_at for step in steps] == [1024, 2048, 3072, None]
    assert run.training.checkpoints_at == (1024, 2048, 3072)
    assert len({step.artifact for step in steps}) == len({step.name for step in steps}) == 4
    facts = {"largest_eigenvalue": 3.0, "largest_converged": True, "critical": None}
    keep(store, steps[1], facts)
    keep(store, run, {"parameters": 5, "training_flops": 4096})
    rows = {row["metric"]: row for row in steps[1].rows(store)}
    assert rows["sharpness/largest_eigenvalue"]["value"] == 3.0
    assert rows["sharpness/largest_converged"]["value"] == 1.0
    assert "sharpness/critical" not in rows
    assert rows["sharpness/largest_eigenvalue"]["tokens"] == 2048
    assert rows["sharpness/largest_eigenvalue"]["flops"] == 2048


def test_sharpness_may_be_measured_every_so_many_tokens(tiny_study: Path) -> None:
    steps = steps_of(tiny_study, "sharpness", "evaluation.sharpness.every=1000")
    # Steps are 256 tokens: every fourth one.
    assert [step.checkpoint_at for step in steps] == [1024, 2048, 3072, None]


def test_sharpness_at_the_end_alone_keeps_no_checkpoints(tiny_study: Path) -> None:
    (step,) = steps_of(tiny_study, "sharpness")
    assert step.checkpoint_at is None
    assert step.run.training.checkpoints_at == ()
    assert not steps_of(tiny_study, "sharpness", "evaluation.sharpness=null")


def test_as_many_points_as_steps_are_measured_and_no_more(tiny_study: Path) -> None:
    steps = steps_of(tiny_study, "sharpness", "evaluation.sharpness.points=16")
    places = [step.checkpoint_at for step in steps[:-1]]
    assert places == [256 * index for index in range(1, 16)]
    with pytest.raises(InputError, match="points 17, expected at most the target's 16 steps"):
        steps_of(tiny_study, "sharpness", "evaluation.sharpness.points=17")


def test_the_expected_cost_grows_with_what_is_asked(tiny_study: Path) -> None:
    (plain,) = steps_of(tiny_study, "sharpness")
    (long,) = steps_of(tiny_study, "sharpness", "evaluation.sharpness.max_iterations=8")
    (parts,) = steps_of(tiny_study, "sharpness", "evaluation.sharpness.micro_batch_size=1")
    assert isinstance(plain.evaluation, SharpnessSpec)
    batch = plain.evaluation.batch_size * plain.run.training.model.sequence_length
    per_token = plain.run.flops / plain.run.training.tokens / 3
    # Two spectra of four more products each, six forward passes a product.
    assert long.flops - plain.flops == pytest.approx(2 * 4 * 6 * batch * per_token)
    assert plain.flops < parts.flops < 1.5 * plain.flops
