from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricle.core.errors import InputError
from curricle.core.store import Artifact, Store
from curricle.recipes.loading import load_study
from curricle.tasks.plan import StudyPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.step import Step, with_inputs
from curricle.tasks.train import TrainingStep


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


def test_a_variant_is_judged_on_the_held_out_text_it_asks_for(tiny_study: Path) -> None:
    more = "{tokens_per_domain: 1024, target: {tuning: {learning_rates: [1e-3]}}}"
    plan = make_plan(tiny_study, f"sweep.more={more}", "sweep.same={}")
    used = plan.study.evaluation.tokens_per_domain
    assert used != 1024
    more_plan = plan.targets[1]
    read = {
        "own": {run.training.validation_tokens_per_domain for run in plan.ranking.runs()},
        "more": {run.training.validation_tokens_per_domain for run in plan.rankings[1].runs()},
        "same": {run.training.validation_tokens_per_domain for run in plan.rankings[2].runs()},
        "targets": {run.training.validation_tokens_per_domain for run in more_plan.tuning_runs()},
    }
    assert read == {"own": {used}, "more": {1024}, "same": {used}, "targets": {1024}}


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
    confirmed = fingerprints(plan.target.chosen_runs(["untouched"]))
    random = [run for run in plan.curricula.target_runs("untouched") if run.curriculum == "random"]
    assert fingerprints(random) == confirmed


def test_scoring_proxies_read_what_no_target_reads(plan: StudyPlan) -> None:
    parts = {
        run.order.random.pool.part
        for score in plan.curricula.proxy_scores("untouched")
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
    before = make_plan(tiny_study).ranking.steps()[1e-3].artifact
    after = make_plan(tiny_study, override).ranking.steps()[1e-3].artifact
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


SCORES = """{
  compare: [unigram-entropy, moore-lewis, mtld, length, mine, both],
  columns: {mine: {scores: mine.parquet, column: score}},
  combinations: {both: {learnability: 2, moore-lewis: -1}},
  tokens: 2048, learning_rate: 1e-2}"""


def test_every_score_that_is_wanted_has_a_step(tiny_study: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"id": ["a"], "score": [0.5]}), path)
    scores = SCORES.replace("mine.parquet", str(path))
    plan = make_plan(tiny_study, f"scoring={scores}")
    steps = [step.spec["scores"] for step in plan.curricula.scoring.steps("untouched")]
    assert Counter(steps) == {
        "learnability": 3,
        "sample-statistics": 1,
        "of-texts": 1,
        "column": 2,
        "combination": 3,
    }
    assert len(plan.curricula.proxy_scores("untouched")) == 3


def test_curricula_without_a_proxys_score_train_no_proxy(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, "curricula={easy: {pacing: sorted, score: unigram-entropy}}")
    assert plan.curricula.proxy_scores("untouched") == []
    assert {run.stage for run in plan.curricula.target_runs("untouched")} == {"target"}


ONLINE = "curricula={rho: {pacing: rho-loss}, entropy: {pacing: online-entropy-v}}"


def test_runs_that_choose_while_they_train_have_controls_too(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, ONLINE)
    runs = [run for run in plan.curricula.target_runs("untouched") if run.training.seed == 0]
    assert [run.curriculum for run in runs] == [
        *("random", "rho", "anti-rho", "rho-reshuffled"),
        *("entropy", "anti-entropy", "entropy-reshuffled"),
    ]
    rho, anti, reshuffled = runs[1:4]
    assert rho.training.selection is not None
    assert rho.order.random.count == 10 * rho.training.samples
    assert anti.order.artifact == rho.order.artifact != runs[0].order.artifact
    assert anti.artifact != rho.artifact
    assert reshuffled.order.inputs == {"run": rho}
    assert rho.inputs["irreducible"] in plan.curricula.proxy_scores("untouched")
    assert "irreducible" not in runs[4].inputs
    assert rho.flops == pytest.approx((1 + 10 / 3) * runs[0].flops)
    proxies_of = plan.curricula.scoring.proxies_of
    assert [proxies_of(item) for item in plan.study.curricula.values()] == [{""}, set()]


def test_a_curriculum_may_have_fewer_seeds_than_the_random_order(tiny_study: Path) -> None:
    curricula = "curricula={main: {}, other: {full_at: 1.0, seeds: 3}}"
    plan = make_plan(tiny_study, "target.seeds=4", curricula)
    arms = Counter(run.curriculum for run in plan.curricula.target_runs("untouched"))
    assert (arms["random"], arms["anti-main"], arms["other"], arms["anti-other"]) == (4, 4, 3, 3)
    with pytest.raises(InputError, match="5 seeds, expected at most target.seeds, 3"):
        make_plan(tiny_study, "curricula.main={seeds: 5}")


def test_rounded_weights_are_evaluated_beside_the_others(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, "evaluation.weight_bits=6")
    steps = plan.evaluation.steps(plan.curricula.target_runs("untouched")[:1])
    perplexities = [step for step in steps if step.job_kind == "perplexity"]
    assert [step.weight_bits for step in perplexities] == [None, 6]
    assert perplexities[1].name == f"{perplexities[0].name}-int6"


def test_more_tokens_and_other_schedules_put_targets_into_perspective(tiny_study: Path) -> None:
    soft = "soft: {schedule: cosine, final_fraction: 0.33}"
    averaged = "averaged: {schedule: constant, averaging: {method: ema}}"
    schedules = f"target.schedules={{flat: {{schedule: linear}}, {soft}, {averaged}}}"
    plan = make_plan(tiny_study, schedules, "target.longer=1.5")
    runs = plan.curricula.side_runs("untouched")
    kinds = Counter((run.schedule, run.curriculum) for run in runs)
    names, arms = ("flat", "soft", "averaged"), ("random", "learnability")
    assert kinds.pop((None, "random-longer")) == 3
    assert kinds == dict.fromkeys(((name, arm) for name in names for arm in arms), 3)
    assert len(fingerprints(runs)) == len(runs)
    longer = runs[0]
    assert longer.training.tokens == 1.5 * 4096
    run = next(run for run in runs if run.schedule == "soft")
    assert run.training.optimizer.final_fraction == 0.33
    assert run.columns({"parameters": 1, "training_flops": 1})["schedule"] == "soft"
    with pytest.raises(InputError, match="schedules: 'constant', as the target's own"):
        make_plan(tiny_study, "target.schedules={constant: {schedule: cosine}}")


def test_a_curriculum_may_be_ranked_anew_in_mid_run(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, "curricula={pool: {rescore_at: 0.5}}")
    runs = {
        run.curriculum: run
        for run in plan.curricula.target_runs("untouched")
        if run.training.seed == 0
    }
    assert list(runs) == [
        *("random", "pool-static", "pool", "pool-reshuffled", "anti-pool-static", "anti-pool")
    ]
    fresh = runs["pool"].order.inputs["scores"]
    assert isinstance(fresh, LearnabilityStep)
    assert fresh.proxy.artifact == runs["pool-static"].artifact
    assert (fresh.scoring.early, fresh.scoring.late) == (1024, (2048,))
    assert set(runs["pool-static"].training.checkpoints_at) >= {1024, 2048}
    assert runs["pool-reshuffled"].order.inputs["scores"] is fresh
    assert runs["anti-pool"].order.inputs["scores"] is not fresh
    assert len(plan.curricula.fresh_scores("untouched", "pool")) == 3
    with pytest.raises(InputError, match="rescore_at with score mtld"):
        make_plan(tiny_study, "curricula={pool: {rescore_at: 0.5, score: mtld}}")


TUNED = "target.tuning={learning_rates: [3e-3, 1e-2], weight_decays: [0.0, 0.1]}"
PYTHIA = "sweep.pythia={recipes: [untouched, shuffled-letters], proxy: {family: pythia}}"
BAND = "band={learning_rates: [1e-5, 1e-4, 1e-3], tokens: 1024, seeds: 2}"


def test_a_sweep_is_recipes_times_settings_times_seeds(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, "proxy.batch_sizes=[8, 16]", PYTHIA)
    own, pythia = plan.rankings
    assert len(fingerprints(own.runs())) == 4 * 2 * 2 * 3
    assert Counter(run.stage for run in own.runs()) == {"proxy": 24, "sweep": 24}
    assert {run.stage for run in pythia.runs()} == {"sweep"}
    assert {run.training.model.family for run in pythia.runs()} == {"pythia"}
    assert [len(step.runs) for step in own.steps().values()] == [4 * 3] * 2


def test_tuned_targets_are_run_again_on_seeds_that_had_no_part_in_it(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, TUNED)
    tuning = plan.target.tuning_runs()
    assert len(fingerprints(tuning)) == 4 * 4
    fresh = plan.target.tuned_runs(Store("nowhere", create=False))
    assert len(fingerprints(fresh)) == 4 * 3
    assert not {run.training.seed for run in fresh} & {run.training.seed for run in tuning}


def test_a_target_that_is_best_at_an_end_of_its_rates_is_named(
    tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lowest at 3e-3 for `untouched`, at 1e-3 and 1e-2 for two others."""
    best = {"untouched": 3e-3, "exact-dedup": 1e-3, "shuffled-letters": 1e-2}
    store: Any = SimpleNamespace(exists=lambda _: True)
    monkeypatch.setattr(
        TrainingStep,
        "average_loss",
        lambda run, _: float(run.learning_rate != best.get(run.recipe, 3e-3)),
    )
    target = make_plan(tiny_study, "target.tuning={learning_rates: [1e-3, 3e-3, 1e-2]}").target
    assert target.at_edge(store) == {"highest": ["shuffled-letters"], "lowest": ["exact-dedup"]}
    assert (
        make_plan(tiny_study, "target.tuning={learning_rates: [1e-3]}").target.at_edge(store) == {}
    )
    nothing: Any = SimpleNamespace(exists=lambda _: False)
    assert target.at_edge(nothing) == {}


def test_tuned_targets_read_no_proxys_order(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, TUNED)
    targets = [*plan.target.tuning_runs(), *plan.target.tuned_runs(Store("nowhere", create=False))]
    proxies = [run for ranking in plan.rankings for run in ranking.runs()]
    orders = fingerprints([run.order for run in proxies])
    assert orders
    assert not orders & fingerprints([run.order for run in targets])


def test_the_band_takes_candidates_and_measures_curvature_once(tiny_study: Path) -> None:
    plan = make_plan(tiny_study, BAND)
    assert {run.recipe for run in plan.band.runs} == {"untouched", "exact-dedup"}
    assert len(fingerprints(list(plan.band.runs))) == 2 * 3 * 2
    products = [step.spec["products"] for step in plan.band.starts()]
    assert sorted(products) == [0] * 8 + [40]


def test_a_ranking_needs_its_baseline_and_another_recipe(tiny_study: Path) -> None:
    step = make_plan(tiny_study).ranking.steps()[1e-3]
    runs = {name: tuple(run for run in step.runs if run.recipe == name) for name in step.roles}
    assert step.over(runs["exact-dedup"] + runs["shuffled-letters"]) is None
    assert step.over(runs["untouched"] + runs["low-entropy-first"]) is None
    part = step.over(runs["untouched"] + runs["exact-dedup"][:1])
    assert part is not None
    assert part.artifact != step.artifact
    assert step.over(step.runs) == step
