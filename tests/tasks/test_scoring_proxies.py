"""Several scoring proxies: other sizes and families, and ones specialised by a mix of domains."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from tests.conftest import TINY_STUDY
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.analysis.score_summary import render_scores
from curricle.core.errors import InputError
from curricle.core.order_file import read_order, read_read
from curricle.core.scores_file import read_scores
from curricle.core.store import Store
from curricle.recipes.loading import load_study
from curricle.recipes.ordering import partition
from curricle.tasks.comparisons import charges_of
from curricle.tasks.curricula_check import check_recipe
from curricle.tasks.given_scores import GivenScoresStep
from curricle.tasks.overview import overview
from curricle.tasks.plan import StudyPlan
from curricle.tasks.results import collect_results
from curricle.tasks.score_quality import scored_samples
from curricle.tasks.scores import LearnabilityStep

PROXIES = """{
  wide: {proxy: {width: 32, num_heads: 2}},
  llama: {proxy: {family: llama}, tokens: 5120, learning_rate: 2e-3},
  expert: {mix: {a: 4, b: 1}}}"""
SCORING = f"""{{
  tokens: 2560, learning_rate: 1e-2, proxies: {PROXIES}, compare: [learnability@wide],
  combinations: {{both: {{learnability@wide: 1, learnability@expert: 2}}}}}}"""
CURRICULA = "{own: {}, mixed: {score: both}}"
SETTINGS = (
    f"curricula={CURRICULA}",
    "target={num_layers: 1, width: 16, num_heads: 1, tokens: 1024, learning_rate: 1e-2, "
    "confirm: 2}",
    "proxy={num_layers: 1, width: 16, num_heads: 1, tokens: 1024, learning_rates: [1e-2]}",
    f"scoring={SCORING}",
    "evaluation={tokens_per_domain: 64, multiple_choice: null, sharpness: null}",
)


def _plan(folder: Path, *overrides: str) -> StudyPlan:
    (folder / "tiny.yaml").write_text(TINY_STUDY)
    rows = [{"text": prose(seed, 80), "domain": "ab"[seed % 2]} for seed in range(60)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f"{{source: files, path: {folder / 'corpus.jsonl'}, domain_column: domain}}"
    corpora, store = f"corpora={{mine: {source}}}", f"store={folder / 'store'}"
    settings = [corpora, store, *SETTINGS, *overrides]
    return StudyPlan(load_study(str(folder / "tiny.yaml"), settings))


def _scores(plan: StudyPlan, proxy: str, seed: int = 0) -> LearnabilityStep:
    return plan.curricula.scoring.from_proxy("untouched", proxy, seed)


def _spent(plan: StudyPlan, store: Store, proxy: str) -> float:
    """Operations of training the first seed's proxy and of scoring by it."""
    step = _scores(plan, proxy)
    facts = [store.facts(item.artifact) for item in (step, step.proxy)]
    return float(facts[0]["flops"] + facts[1]["training_flops"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyPlan, Store]:
    """All scores of two seeds, and the first seed's arms."""
    plan = _plan(tmp_path_factory.mktemp("study"))
    store, scoring = Store(plan.study.store), plan.curricula.scoring
    scores = [scoring.step("untouched", name, seed) for name in scoring.wanted for seed in (0, 1)]
    runs = [run for run in plan.curricula.target_runs("untouched") if run.training.seed == 0]
    make(store, [*scores, *runs])
    return plan, store


def test_each_seed_has_each_proxy_that_a_score_names(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    proxies = [step.proxy for step in plan.curricula.proxy_scores("untouched")]
    assert Counter(run.variant for run in proxies) == {"": 3, "wide": 3, "expert": 3}
    assert len({run.artifact for run in proxies}) == 9
    assert {run.order.random.pool.part for run in proxies} == {"proxy"}
    own, wide, expert, llama = (
        _scores(plan, name).proxy for name in ("", "wide", "expert", "llama")
    )
    assert (wide.training.model.width, wide.training.model.num_heads) == (32, 2)
    assert wide.order.artifact == own.order.artifact != expert.order.artifact
    assert llama.training.model.family == "llama"
    assert (llama.training.tokens, llama.learning_rate) == (5120, 2e-3)
    assert llama.training.checkpoints_at == (1024, 4096, 4608, 5120)


def test_the_studys_own_proxy_is_the_same_with_and_without_others(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    alone = _plan(tmp_path, "scoring={tokens: 2560, learning_rate: 1e-2}", "curricula={own: {}}")
    assert [_scores(plan, "", seed).artifact for seed in range(3)] == [
        step.artifact for step in alone.curricula.scoring.steps("untouched")
    ]
    runs = [run.artifact for run in plan.curricula.target_runs("untouched")]
    assert {run.artifact for run in alone.curricula.target_runs("untouched")} < set(runs)


def test_a_specialised_proxy_reads_its_mix_of_what_no_target_reads(
    made: tuple[StudyPlan, Store],
) -> None:
    plan, store = made
    step = _scores(plan, "expert").proxy.order
    dataset, held_out = step.random.pool.open(store.folder(step.random.dataset.artifact))
    order = read_order(store.folder(step.artifact), len(dataset))
    assert set(order.tolist()) <= set(held_out.tolist())
    domains = dataset.domain_of_samples()[order]
    by_name = {name: int((domains == i).sum()) for i, name in enumerate(dataset.domains)}
    assert by_name == {"a": 64, "b": 16}
    targets = partition(len(dataset), 0.3, plan.study.seed, "target")
    for run in plan.curricula.target_runs("untouched"):
        if store.exists(run.artifact):
            read = read_order(store.folder(run.order.artifact), len(dataset))
            assert set(read.tolist()) <= set(targets.tolist()) - set(order.tolist())


def test_a_combination_of_proxies_ranks_a_curriculum(made: tuple[StudyPlan, Store]) -> None:
    plan, store = made
    ranks = {
        name: read_scores(store.folder(_scores(plan, name).artifact), "learnability_rank")
        for name in ("wide", "expert")
    }
    combined = plan.curricula.scoring.step("untouched", "both", 0)
    found = read_scores(store.folder(combined.artifact), "both")
    np.testing.assert_allclose(found, (ranks["wide"] + 2 * ranks["expert"]) / 3)
    assert not np.array_equal(ranks["wide"], ranks["expert"])
    run = next(run for run in plan.curricula.target_runs("untouched") if run.curriculum == "mixed")
    assert run.order.inputs["scores"].artifact == combined.artifact
    assert store.exists(run.artifact)


def test_a_curriculum_may_rank_by_one_proxys_score_alone(tmp_path: Path) -> None:
    plan = _plan(tmp_path, "curricula={wide: {score: learnability@wide}}")
    run = next(run for run in plan.curricula.target_runs("untouched") if run.curriculum == "wide")
    assert run.order.inputs["scores"].artifact == _scores(plan, "wide").artifact
    make(Store(plan.study.store), [run.order])
    variants = [step.proxy.variant for step in plan.curricula.proxy_scores("untouched")]
    assert variants == ["wide"] * 3


def test_agreement_with_the_studys_own_proxy_is_spearmans_inside_domains(
    made: tuple[StudyPlan, Store],
) -> None:
    plan, store = made
    found = scored_samples(plan, store, "untouched")
    assert found is not None
    domains = found.first["domain"].to_numpy()
    pool = partition(
        len(read_scores(store.folder(_scores(plan, "").artifact), "learnability")),
        *(0.3, plan.study.seed, "target"),
    )
    inside = []
    for seed in (0, 1):
        own, wide = (
            read_scores(store.folder(_scores(plan, name, seed).artifact), "learnability")[pool]
            for name in ("", "wide")
        )
        inside += [
            spearmanr(own[domains == name], wide[domains == name]).statistic for name in "ab"
        ]
    qualities = {item.score: item for item in found.qualities.scores}
    wide_quality = qualities["learnability@wide"]
    assert wide_quality.between_proxies == pytest.approx(np.mean(inside))
    assert wide_quality.between_checkpoints is not None
    assert qualities["learnability"].between_proxies is None
    text = render_scores(found.qualities)
    line = next(line for line in text.splitlines() if line.startswith("learnability@wide "))
    assert line.split()[5] == f"{wide_quality.between_proxies:.2f}"


def test_a_curriculum_is_charged_the_proxies_it_ranks_by(made: tuple[StudyPlan, Store]) -> None:
    plan, store = made

    results = collect_results(plan, store)
    found = charges_of(plan, store, results, "untouched")["charges"]
    charges = {item.curriculum: item.scoring_flops for item in found}
    assert charges == {
        "own": pytest.approx(_spent(plan, store, "")),
        "mixed": pytest.approx(_spent(plan, store, "wide") + _spent(plan, store, "expert")),
    }
    assert charges["mixed"] > charges["own"]


def test_rho_loss_may_subtract_the_loss_of_a_specialised_reference(
    made: tuple[StudyPlan, Store],
) -> None:
    _, store = made
    rho = "{rho: {pacing: rho-loss, oversampling: 2, score: irreducible-loss@expert}}"
    plan = _plan(Path(store.root).parent, f"curricula={rho}", "scoring.compare=[]")
    proxies = [step.proxy.variant for step in plan.curricula.proxy_scores("untouched")]
    assert proxies == ["expert"] * 3
    runs = plan.curricula.target_runs("untouched")
    run = next(run for run in runs if run.curriculum == "rho" and run.training.seed == 0)
    assert run.irreducible is not None
    assert run.irreducible.artifact == _scores(plan, "expert").artifact
    make(store, [run])
    chosen = read_read(store.folder(run.artifact))
    assert chosen is not None
    assert len(chosen) == run.training.steps * run.training.batch_size
    found = charges_of(plan, store, collect_results(plan, store), "untouched")["charges"]
    charges = {item.curriculum: item.scoring_flops for item in found}
    assert charges == {"rho": pytest.approx(_spent(plan, store, "expert"))}


def test_what_rho_loss_subtracts_by_default_has_the_name_it_had(tmp_path: Path) -> None:
    plan = _plan(tmp_path, "curricula={rho: {pacing: rho-loss}}")
    assert plan.study.curricula["rho"].model_dump()["score"] == "irreducible-loss"
    runs = plan.curricula.target_runs("untouched")
    used = {run.irreducible.artifact for run in runs if run.irreducible is not None}
    assert used == {_scores(plan, "", seed).artifact for seed in range(3)}


@pytest.mark.parametrize(("holdout", "is_disjoint"), [(0.3, True), (0.2, False)])
def test_a_combination_given_to_another_study_keeps_its_proxies_holdout_and_cost(
    made: tuple[StudyPlan, Store], holdout: float, is_disjoint: bool
) -> None:
    plan, store = made
    combined = plan.curricula.scoring.step("untouched", "both", 0)
    given = f"{{x: {{score: both, scores: {store.root}/{combined.artifact.key}}}}}"
    folder = Path(store.root).parent
    other = _plan(folder, f"curricula={given}", f"scoring.holdout={holdout}")
    curriculum = other.study.curricula["x"]
    step = other.curricula.scoring.of_curriculum("untouched", curriculum, 0)
    assert isinstance(step, GivenScoresStep)
    if not is_disjoint:
        with pytest.raises(InputError, match=r"holdout 0.3.*scoring.holdout 0.2 or less"):
            _ = step.artifact
        return
    assert step.cost is not None
    assert step.cost.flops == _spent(plan, store, "wide") + _spent(plan, store, "expert")


def test_a_dry_run_counts_further_proxies(tmp_path: Path) -> None:
    (stage,) = overview(_plan(tmp_path).study, ["score"])
    assert stage.training_runs == 9
    assert stage.tokens == 9 * 2560
    assert stage.unknown == 9


def test_a_mix_without_samples_is_told_before_training(tmp_path: Path) -> None:
    plan = _plan(tmp_path, "scoring.proxies.expert={mix: {a: 1, poems: 1}}")
    store = Store(plan.study.store)
    make(store, [plan.preparation.datasets["untouched"]])
    with pytest.raises(InputError, match="mix reads domain 'poems', which has no samples"):
        check_recipe(plan, store, "untouched")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("curricula.x={score: learnability@x}", "score 'learnability@x', expected one of"),
        ("curricula.x={score: mtld@wide}", "score 'mtld@wide', expected one of"),
        (
            "curricula.x={pacing: rho-loss, score: final-loss@wide}",
            "rho-loss with score 'final-loss@wide', expected irreducible-loss, or irred",
        ),
        (
            "curricula.x={pacing: rho-loss, score: irreducible-loss@x}",
            "score 'irreducible-loss@x', expected one of",
        ),
        ("scoring.compare=[learnability@x]", "score 'learnability@x', expected one of"),
        ("scoring.combinations.both={late-loss@x: 1}", "both: score 'late-loss@x', expected"),
        (
            "curricula.own={score: learnability@wide, rescore_at: 0.5}",
            "rescore_at with score learnability@wide, expected rescore_at with learnability",
        ),
        ("scoring.proxies.x={}", "scoring.proxies.x: the same proxy as scoring, expected"),
        ("scoring.proxies.x={proxy: {family: gpt2}}", "the same proxy as scoring, expected"),
        (
            "scoring.proxies.x={mix: {b: 1, a: 4}}",
            "scoring.proxies.x: the same proxy as scoring.proxies.expert",
        ),
        ("scoring.proxies.x={width: 32}", "scoring.proxies.x.width"),
        (
            "scoring.proxies.x={proxy: {learning_rates: [1e-3]}}",
            "a scoring proxy with proxy.learning_rates, expected settings of its model",
        ),
        (
            "scoring.proxies.x={proxy: {widht: 32}}",
            "scoring.proxies.x.proxy.widht: 32, expected Extra inputs are not permitted",
        ),
        (
            "scoring.proxies.x={proxy: {width: 33, num_heads: 2}}",
            r"scoring.proxies.x.proxy.*33",
        ),
        (
            "scoring.proxies.x={tokens: 512}",
            "scoring.proxies.x.tokens 512: 2 steps of 256 tokens, expected enough steps",
        ),
        ("scoring.proxies.x={mix: {}}", "scoring.proxies.x.mix"),
    ],
)
def test_proxies_that_cant_be_are_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _plan(tmp_path, override)


def test_a_mix_names_domains_of_the_corpora(tiny_study: Path) -> None:
    message = "scoring.proxies.x reads domain 'poems', expected domains of the corpora, docstrings"
    with pytest.raises(InputError, match=message):
        load_study(str(tiny_study), ["scoring.proxies={x: {mix: {poems: 1}}}"])
