"""Every kind of curriculum from its scores to its trained arms, in this process."""

import json
import re
from typing import Any

import numpy as np
import pytest
from tests.conftest import TINY_STUDY
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.analysis.findings import findings_of
from curricle.analysis.report import render_report
from curricle.analysis.score_summary import render_scores
from curricle.analysis.summary import render_summary
from curricle.core.order_file import read_order, read_read
from curricle.core.store import Artifact, Store
from curricle.recipes.loading import load_study
from curricle.recipes.specs.curricula import GrowingPool
from curricle.tasks.comparisons import by_schedule, charges_of, comparisons_of, main_targets
from curricle.tasks.order_check import check_order
from curricle.tasks.outcome import read_outcome
from curricle.tasks.plan import StudyPlan
from curricle.tasks.report import gather
from curricle.tasks.results import collect_results
from curricle.tasks.score_quality import scored_samples

CURRICULA = """{
  pool: {},
  aged: {rescore_at: 0.5},
  rho: {pacing: rho-loss, oversampling: 2},
  online: {pacing: online-entropy-v, twin: twin},
  twin: {pacing: oversampled-v, score: unigram-entropy, direction: ascending}}"""
SETTINGS = [
    f"curricula={CURRICULA}",
    "target={num_layers: 1, width: 16, num_heads: 1, tokens: 1024, learning_rate: 1e-2, "
    "confirm: 2, longer: 1.5, schedules: {cosine: {schedule: cosine}}}",
    "proxy={num_layers: 1, width: 16, num_heads: 1, tokens: 1024, learning_rates: [1e-2]}",
    "scoring={tokens: 2560, learning_rate: 1e-2, compare: [moore-lewis, mtld, length]}",
    "evaluation={tokens_per_domain: 64, multiple_choice: null, sharpness: null}",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyPlan, Store]:
    """Everything that the first seed of all arms needs."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(TINY_STUDY)
    texts = "".join(json.dumps({"text": prose(seed, 150)}) + "\n" for seed in range(40))
    (folder / "corpus.jsonl").write_text(texts)
    corpus = f"{{mine: {{source: files, path: {folder / 'corpus.jsonl'}, domain: mine}}}}"
    plan = StudyPlan(load_study(str(folder / "tiny.yaml"), [f"corpora={corpus}", *SETTINGS]))
    store = Store(str(folder / "store"))
    curricula = plan.curricula
    scores = [curricula.scoring.step("untouched", name, 0) for name in curricula.scoring.wanted]
    runs = [*curricula.target_runs("untouched"), *curricula.side_runs("untouched")]
    make(store, [*scores, *(run for run in runs if run.training.seed == 0)])
    return plan, store


def _run(plan: StudyPlan, arm: str) -> Any:
    runs = plan.curricula.target_runs("untouched")
    return next(run for run in runs if run.curriculum == arm and run.training.seed == 0)


@pytest.mark.parametrize("arm", ["{}", "anti-{}"])
def test_the_entropy_v_and_its_twin_are_one_run(made: tuple[StudyPlan, Store], arm: str) -> None:
    plan, store = made
    runs = [_run(plan, arm.format(name)) for name in ("online", "twin")]
    online, twin = (store.folder(run.artifact) for run in runs)
    read = read_read(online)
    assert read is not None
    order = store.folder(runs[1].order.artifact)
    np.testing.assert_array_equal(read, read_order(order, 10**6))
    assert (online / "model.safetensors").read_bytes() == (twin / "model.safetensors").read_bytes()


def test_a_run_that_is_ranked_anew_begins_like_the_one_that_is_not(
    made: tuple[StudyPlan, Store],
) -> None:
    plan, store = made
    static, aged = (_run(plan, arm) for arm in ("aged-static", "aged"))
    first, second = (read_order(store.folder(run.order.artifact), 10**6) for run in (static, aged))
    half = len(first) // 2
    np.testing.assert_array_equal(first[:half], second[:half])
    assert not np.array_equal(first[half:], second[half:])


@pytest.mark.parametrize(
    "arm", ["random", "pool", "anti-pool", "rho", "anti-rho", "rho-reshuffled"]
)
def test_every_arm_has_read_what_it_says(made: tuple[StudyPlan, Store], arm: str) -> None:
    plan, store = made
    tokenizer: Artifact = plan.preparation.tokenizer.artifact
    check = check_order(store, _run(plan, arm).artifact, tokenizer)
    assert check.is_proved
    assert check.points == 4


def test_the_report_says_how_samples_are_drawn_and_what_is_repeated(
    made: tuple[StudyPlan, Store],
) -> None:
    plan, store = made
    content = gather(plan, store)
    reads = {item.arm: item for item in content.reads}
    arms = {run.curriculum for run in plan.curricula.target_runs("untouched")}
    assert set(reads) == arms
    for arm, item in reads.items():
        run = _run(plan, arm)
        if run.training.selection is not None:
            assert item.drawing == "chosen from candidates drawn without replacement"
            assert item.distinct_samples is None
            continue
        counts = np.bincount(read_order(store.folder(run.order.artifact), 10**6))
        distinct = int(np.count_nonzero(counts))
        assert item.distinct_samples == (distinct, distinct)
        most = int(counts.max())
        known = None if arm in ("rho-reshuffled", "online-reshuffled") else (most, most)
        assert item.most_reads == known
        assert store.facts(run.order.artifact)["drawing"] == item.drawing
    assert reads["aged"].drawing == reads["random"].drawing == "without replacement"
    page = render_report(content)
    assert page.count("chosen from candidates drawn without replacement") == 6
    rho = check_order(store, _run(plan, "rho").artifact, plan.preparation.tokenizer.artifact)
    assert rho.drawing == "chosen from candidates drawn without replacement"


def test_scores_are_judged_and_arms_compared(made: tuple[StudyPlan, Store]) -> None:
    plan, store = made
    scored = scored_samples(plan, store, "untouched")
    assert scored is not None
    assert list(scored.ends) == [*plan.curricula.scoring.wanted]
    assert scored.examples == scored.ends["learnability"]
    told = read_outcome(plan, store, "score", seconds=1.0).text
    assert told.count("samples from both ends") == len(scored.ends)
    learned = plan.curricula.scoring.step("untouched", "learnability", 0).artifact
    assert f"  learnability, seed 0: {store.root}/{learned.key}\n" in told
    text = render_scores(scored.qualities)
    assert all(name in text for name in ("learnability", "moore-lewis", "mtld", "length"))
    results = collect_results(plan, store)
    targets = main_targets(plan, results)
    compared = comparisons_of(targets, plan.study.curricula)
    pairs = {(item.arm, item.control) for item in compared}
    assert {("aged", "random"), ("aged", "aged-static"), ("rho", "rho-reshuffled")} <= pairs
    equal = [item for item in compared if (item.arm, item.control) == ("online", "twin")]
    assert [item.difference for item in equal] == [pytest.approx(0, abs=1e-12)] * len(equal)
    assert equal
    found = by_schedule(plan, results)
    assert {name: len(items) for name, items in found.items()} == {"constant": 5, "cosine": 5}
    charges = charges_of(plan, store, results, "untouched")
    against_twin = [item for item in charges["equal_costs"] if item.comparison.control == "twin"]
    assert [(item.curriculum, item.basis) for item in against_twin] == [
        ("online", "operations"),
        ("online", "time"),
    ]
    assert against_twin[0].comparison.difference == pytest.approx(0, abs=1e-12)
    shares = {
        (item.curriculum, item.basis): item.share
        for item in charges["equal_costs"]
        if item.comparison.control == "random"
    }
    assert shares["online", "time"] > 0
    assert shares["twin", "time"] > 0
    behind = {
        name: [
            [step.name for step in steps]
            for steps in plan.curricula.scoring.behind("untouched", plan.study.curricula[name])
        ]
        for name in ("online", "twin")
    }
    assert behind["online"] == []
    assert {tuple(names) for names in behind["twin"]} == {("untouched-statistics",)}
    beyond = (1 + shares["online", "time"]) / (1 + shares["twin", "time"]) - 1
    assert against_twin[1].share == pytest.approx(beyond)
    assert shares["twin", "operations"] == shares["online", "operations"] == 0
    assert shares["rho", "operations"] > shares["pool", "operations"] > 1
    assert shares["aged", "operations"] > shares["pool", "operations"]
    assert {item.curriculum for item in charges["selections"]} == {"rho", "online"}


def _with_given(plan: StudyPlan, store: Store) -> tuple[StudyPlan, Store]:
    """Beside the pool the same with the first seed's own scores, given; its run is made."""
    scores = plan.curricula.scoring.step("untouched", "learnability", 0)
    given = GrowingPool(scores=f"{store.root}/{scores.artifact.key}")
    curricula = {"pool": plan.study.curricula["pool"], "given": given}
    plan = StudyPlan(plan.study.model_copy(update={"curricula": curricula}))
    make(store, [_run(plan, "given")])
    return plan, store


def test_given_scores_are_charged_as_their_records_say(made: tuple[StudyPlan, Store]) -> None:
    plan, store = _with_given(*made)
    charges = charges_of(plan, store, collect_results(plan, store), "untouched")
    assert [item.curriculum for item in charges["charges"]] == ["pool", "given"]
    shares = {
        (item.curriculum, item.basis): item.share
        for item in charges["equal_costs"]
        if item.comparison.control == "random"
    }
    for basis in ("operations", "time"):
        assert shares["given", basis] == pytest.approx(shares["pool", basis])


def test_given_scores_are_compared_with_the_curriculums_own(
    made: tuple[StudyPlan, Store],
) -> None:
    """The first seed's own scores, given: the same run, at the same cost."""
    plan, store = _with_given(*made)
    content = gather(plan, store)
    assert content.transfers == (("given", "pool"),)
    compared = content.against("given", "pool")
    assert compared is not None
    assert compared.difference == pytest.approx(0, abs=1e-12)
    at_cost = [item for item in content.equal_costs if item.comparison.control == "pool"]
    assert [(item.curriculum, item.basis) for item in at_cost] == [
        ("given", "operations"),
        ("given", "time"),
    ]
    assert [item.comparison.difference for item in at_cost] == pytest.approx([0, 0], abs=1e-9)
    assert [item.share for item in at_cost] == pytest.approx([0, 0], abs=1e-12)
    told = " ".join(item.text for item in findings_of(content).items)
    assert "With given scores against its own, pool: " in told
    assert re.search("given +pool, its own scores ", render_summary(content))
    assert render_report(content).count("pool (with given scores against its own)") == 3
