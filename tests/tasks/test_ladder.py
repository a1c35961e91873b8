"""A whole ladder without a server: layout, costs, every run, findings and report."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from tests.ladders import LADDER
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.errors import InputError
from curricle.core.order_file import read_order
from curricle.core.scores_file import read_scores
from curricle.core.store import Store
from curricle.core.token_dataset import TokenDataset
from curricle.models.flops import training_flops_per_token
from curricle.recipes.loading import load_ladder
from curricle.recipes.specs.curricula import Stages
from curricle.tasks.ladder.costing import costs_to_plain, render_costs
from curricle.tasks.ladder.finding import ScalingStep, schedule_for, schedules_of
from curricle.tasks.ladder.outcome import recommendation
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.ladder.tables import read_tables
from curricle.tasks.plans import report_of, results_of

# Some 180 jobs of a tenth of a second; a machine that is busy with other things takes longer.
pytestmark = pytest.mark.timeout(900)


def plan_of(folder: Path, *overrides: str) -> LadderPlan:
    path = folder / "ladder.yaml"
    path.write_text(LADDER)
    return LadderPlan(load_ladder(str(path), [f"store={folder / 'store'}", *overrides]))


@pytest.fixture
def plan(tmp_path: Path) -> LadderPlan:
    return plan_of(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[LadderPlan, Store, Path]:
    plan = plan_of(tmp_path_factory.mktemp("ladder"))
    store = Store(plan.study.store)
    step = ScalingStep(plan, (*plan.runs, *plan.tuned))
    make(store, [step])
    return plan, store, store.folder(step.artifact)


def test_budgets_share_a_trunk_and_differ_in_their_decay(plan: LadderPlan) -> None:
    main = [run for run in plan.runs if run.schedule == "wsd"]
    assert len(main) == 4 * 2 * 3 * 2
    assert len(plan.trunks) == 4 * 2 * 3
    for run in main:
        trunk, training = run.step.trunk, run.step.training
        assert trunk is not None
        assert training.start_at in trunk.training.states_at
        assert training.tokens - training.start_at == round(0.2 * training.tokens / 192) * 192
    per_trunk = Counter(run.step.trunk.artifact for run in main if run.step.trunk)
    assert set(per_trunk.values()) == {2}


def test_only_runs_that_read_a_mix_are_ended_by_a_jump_of_the_loss(plan: LadderPlan) -> None:
    for run in plan.runs:
        assert (run.step.training.loss_spike is None) == (run.curriculum != "static")
    assert {run.step.training.loss_spike for run in plan.tuned} == {None}


def test_other_schedules_run_on_some_sizes_from_the_beginning(plan: LadderPlan) -> None:
    cosine = [run for run in plan.runs if run.schedule == "cosine"]
    assert {run.place["size"] for run in cosine} == {"1x8"}
    assert {run.budget for run in cosine} == {1}
    assert all(run.step.trunk is None and run.step.training.start_at == 0 for run in cosine)


def test_a_progression_over_each_budget_has_runs_of_its_own(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "scaling.curricula.progression={arrange: forward, until: end}")
    for run in plan.runs:
        if run.schedule == "wsd":
            assert (run.step.trunk is None) == (run.curriculum == "progression")


def test_a_recommended_schedule_is_a_curriculum_of_a_study(plan: LadderPlan) -> None:
    for size in plan.grid.sizes:
        total = size.steps[-1] * plan.grid.tokens_per_step
        text = schedules_of(plan)["progression", float(size.parameters)]
        read = YAML(typ="safe").load(f"{{pacing: stages, {text}}}")
        stages = Stages.model_validate({**read, "stages": tuple(read["stages"])}).stages
        assert sum(stage.tokens for stage in stages) == total
        assert [list(stage.mix or ()) for stage in stages] == [
            *([stage] for stage in plan.scaling.stages.names),
            [],
        ]


def test_equal_flops_and_ratios_give_each_size_its_own_tokens(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "scaling.budgets=[{tokens_per_parameter: 3}, {flops: 1e11}]")
    for size in plan.grid.sizes:
        by_ratio, by_flops = (steps * plan.grid.tokens_per_step for steps in size.steps)
        assert abs(by_ratio - 3 * size.parameters) <= 192
        assert abs(by_flops - 1e11 / training_flops_per_token(size.model)) <= 192


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scaling.budgets=[{tokens: 200}]", "expected at least two steps of 192 tokens"),
        ("scaling.warmup_tokens=1920", "first decay begins after 8 steps"),
        (
            "scaling.sizes=[{num_layers: 1, width: 8, num_heads: 1}, {num_layers: 1, width: 8, "
            "num_heads: 1}, {num_layers: 1, width: 16, num_heads: 1}]",
            "expected sizes that differ",
        ),
    ],
)
def test_what_cannot_be_laid_out_is_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _ = plan_of(tmp_path, override).runs


def test_the_ladder_is_costed_before_anything_runs(plan: LadderPlan, tmp_path: Path) -> None:
    store = Store(plan.study.store, create=False)
    plain = costs_to_plain(plan, store)
    assert [row["non_embedding"] for row in plain["sizes"]] == sorted(
        row["non_embedding"] for row in plain["sizes"]
    )
    flops = sum(row["flops"] for row in plain["sizes"])
    steps = [*plan.trunks, *(run.step for run in [*plan.runs, *plan.tuned])]
    assert flops == sum(step.flops for step in steps)
    largest = plain["paper"][-1]
    assert largest["parameters"] == 1e11
    assert largest["flops"] == 6 * 1e11 * 20e11
    assert "100 G" in render_costs(plan, store)
    assert not (tmp_path / "store").exists()


def test_a_branch_reads_what_a_run_of_its_budget_would(
    finished: tuple[LadderPlan, Store, Path],
) -> None:
    plan, store, _ = finished
    by_place: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in plan.runs:
        key = (run.schedule, run.budget, run.place["size"], run.place["seed"])
        by_place.setdefault(key, {})[run.curriculum] = run
        order = read_order(store.folder(run.step.order.artifact), 10**6)
        if run.step.trunk:
            trunk = read_order(store.folder(run.step.trunk.order.artifact), 10**6)
            start = run.step.training.start_at // 96
            assert np.array_equal(order[:start], trunk[:start])
    for arms in by_place.values():
        orders = {
            name: read_order(store.folder(run.step.order.artifact), 10**6)
            for name, run in arms.items()
        }
        assert np.array_equal(np.sort(orders["static"]), np.sort(orders["progression"]))
        assert not np.array_equal(orders["static"], orders["progression"])


def test_a_finished_ladder_has_findings_tables_and_a_page(
    finished: tuple[LadderPlan, Store, Path],
) -> None:
    plan, _, folder = finished
    plain = json.loads((folder / "scaling.json").read_text())
    assert set(plain["laws"]) == {"static", "progression"}
    assert [one["curriculum"] for one in plain["final"]] == ["progression"]
    assert {(one["stage"], one["held_out"]) for one in plain["stages"]} == {
        (stage, held_out) for stage in plan.scaling.stages.names for held_out in (False, True)
    }
    assert len(plain["recommendations"]) == 5
    assert plain["recommendations"][-1]["inside"] is False
    assert {one["schedule"] for one in plain["interactions"]} == {"cosine"}
    assert plain["tuned"]
    page = (folder / "report.html").read_text()
    for anchor in ("laws", "exponents", "breaks", "differences", "stages", "recommendation"):
        assert f'id="{anchor}"' in page
    for anchor in ("schedules", "sizes"):
        assert f'id="{anchor}"' in page
    assert "progression" in (folder / "summary.txt").read_text()


def test_every_budget_family_and_stage_is_told_of(
    finished: tuple[LadderPlan, Store, Path],
) -> None:
    _, _, folder = finished
    plain = json.loads((folder / "scaling.json").read_text())
    runs = pd.read_csv(folder / "runs.csv").query("schedule == 'wsd'")
    for budget, (one,) in plain["by_budget"].items():
        rows = runs[(runs["budget"] == int(budget)) & ~runs["tuned"]]
        by_size = rows.groupby(["curriculum", "parameters"])["loss"].mean()
        assert one["by_size"] == pytest.approx(by_size["progression"] - by_size["static"])
        assert f"{one['mean']:+.4f}" in (folder / "report.html").read_text()
    assert plain["by_budget"]["1"] == plain["final"]
    items = pd.read_csv(folder / "items.csv").query("schedule == 'wsd' and budget == 1")
    assert len(plain["families"]) == 13
    for gain in plain["families"]:
        asked = items[(items["stage"] == gain["stage"]) & (items["family"] == gain["family"])]
        asked = asked[~asked["tuned"]].groupby(["curriculum", "parameters"])["accuracy"].mean()
        assert gain["control"] == pytest.approx(asked["static"].mean())
        expected = (asked["progression"] - asked["static"]).mean()
        assert gain["accuracy"][0]["mean"] == pytest.approx(expected)
    assert set(plain["tuned_loss"]) == {"mean", "sentences", "facts", "problems"}
    assert {"shared", "p_value", "held_out_shared"} <= set(plain["comparison"])
    along = pd.read_csv(folder / "curves.csv")
    assert set(along["domain"]) == {"sentences", "facts", "problems"}


def test_any_size_and_budget_has_a_recommendation(
    finished: tuple[LadderPlan, Store, Path],
) -> None:
    plan, store, folder = finished
    last = json.loads((folder / "scaling.json").read_text())["recommendations"][0]
    found = recommendation(plan, store, last["parameters"], last["tokens"])
    assert found["best"] == last["best"]
    assert found["static_loss"] == pytest.approx(last["static_loss"])
    further = recommendation(plan, store, 1e8, 1e9)
    assert not further["inside"]
    assert "Beyond what was run" in further["text"]
    whole = schedule_for(plan, "progression", 1_000_003)
    parts = [int(count) for count in re.findall(r"tokens: (\d+)", whole)]
    assert sum(parts) == 1_000_003
    assert parts[0] == pytest.approx(parts[1], abs=1)
    with pytest.raises(InputError, match="no finished run under static"):
        recommendation(plan, Store(str(folder / "empty")), 1e4, 1e4)


def test_budgets_that_change_places_are_refused(tmp_path: Path) -> None:
    for budgets in ("[{tokens: 3840}, {tokens: 1920}]", "[{tokens: 1930}, {tokens: 1925}]"):
        with pytest.raises(InputError, match=r"budgets of .* for size 1x8, expected 192 more"):
            _ = plan_of(tmp_path, f"scaling.budgets={budgets}").runs


def test_results_and_an_early_report_come_from_what_is_there(
    finished: tuple[LadderPlan, Store, Path], tmp_path: Path
) -> None:
    plan, store, _ = finished
    table = results_of(plan, store)
    assert set(table["stage"]) == {"scale"}
    losses = table[(table["metric"] == "validation/loss") & (table["domain"] == "average")]
    assert len(losses) == len(plan.runs) + len(plan.tuned)
    accuracies = table[table["metric"] == "items/accuracy"]
    assert len(accuracies) == 13 * (len(plan.runs) + len(plan.tuned))
    assert "finished" in report_of(plan, store)
    empty = Store(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="no finished run under static"):
        report_of(plan, empty)


def test_the_tables_have_a_row_for_every_run(finished: tuple[LadderPlan, Store, Path]) -> None:
    plan, store, _ = finished
    tables = read_tables(plan, store)
    assert len(tables.runs) == len(plan.runs) + len(plan.tuned)
    assert int(tables.runs["tuned"].sum()) == len(plan.tuned) == 4 * 2 * 3
    assert np.isfinite(tables.runs["loss"]).all()
    assert set(tables.losses["domain"]) == set(plan.scaling.stages.names)
    assert tables.items.groupby(["stage", "family"]).ngroups == 13
    ends = tables.curves.groupby(["curriculum", "parameters", "seed"])["tokens"].max()
    assert set(ends) == {plan.trunks[0].training.tokens}


def test_domains_that_the_mix_leaves_out_are_measured_apart(tmp_path: Path) -> None:
    real = tmp_path / "real.jsonl"
    real.write_text("".join(f"{json.dumps({'text': prose(seed)})}\n" for seed in range(40)))
    plan = plan_of(
        tmp_path,
        f"corpora.real={{source: files, path: {real}, domain: real}}",
        "tokenizer={vocabulary_size: 400, sequence_length: 96}",
        "mix={sentences: 1, facts: 1, problems: 1}",
    )
    store = Store(plan.study.store)
    runs = [run for run in plan.runs if run.place["size"] == "1x8"]
    make(store, [run.step for run in runs])
    tables = read_tables(plan, store)
    assert tables.unread == ("real",)
    read = tables.losses[tables.losses["domain"] != "real"]
    keys = ["curriculum", "schedule", "budget", "seed"]
    expected = read.groupby(keys)["loss"].mean()
    pd.testing.assert_series_equal(tables.runs.set_index(keys)["loss"].sort_index(), expected)
    along = tables.along[tables.along["domain"] != "real"]
    assert tables.curves["loss"].mean() == pytest.approx(along["loss"].mean())
    assert "real, never read" in report_of(plan, store)
    left = ScalingStep.present(plan, store)
    assert [*left.runs] == runs
    assert left.status == "finished without 60 of 78 runs"
    assert plan.startable(plan.runs, store) == [run.step for run in runs]
    assert len(plan.startable(plan.tuned, store)) == 2 * 3


SEVEN_DOMAINS = Path(__file__).parents[3] / "shared/data/corpus_validation.parquet"

REAL_TEXT = """\
name: real-text
store: store
corpora:
  seven: {{source: files, path: {path}, domain_column: domain, id_column: id}}
tokenizer: {{vocabulary_size: 512, sequence_length: 64}}
mix: {{weights: uniform, tokens: 70000}}
scaling:
  stages: {{by: flesch-reading-ease, bins: 3, direction: descending}}
  sizes:
    - {{num_layers: 1, width: 8, num_heads: 1}}
    - {{num_layers: 1, width: 16, num_heads: 2}}
    - {{num_layers: 1, width: 24, num_heads: 3}}
  budgets: [{{tokens: 16384}}]
  curricula:
    static: {{arrange: mixed}}
    progression: {{arrange: forward, until: end}}
    hardest: {{arrange: alone, stage: flesch-reading-ease-3}}
  learning_rate: 1e-2
evaluation: {{tokens_per_domain: 192}}
"""


@pytest.mark.skipif(not SEVEN_DOMAINS.exists(), reason="needs ../shared/data")
def test_real_text_takes_part_by_bins_of_a_score(tmp_path: Path) -> None:
    path, few = tmp_path / "real.yaml", tmp_path / "few.parquet"
    frame = pd.read_parquet(SEVEN_DOMAINS)
    frame.groupby("domain").head(20).to_parquet(few)
    path.write_text(REAL_TEXT.format(path=few))
    plan = LadderPlan(load_ladder(str(path), [f"store={tmp_path / 'store'}"]))
    store = Store(plan.study.store)
    runs = {run.curriculum: run.step for run in plan.runs if run.place["seed"] == 0}
    make(store, [run.order for run in runs.values()])
    assert plan.items is None
    folders = {role: store.folder(step.artifact) for role, step in plan.stage_map.inputs.items()}
    dataset = TokenDataset(store.folder(plan.dataset.artifact), 64)
    stages = plan.stage_map.read(dataset, folders)
    assert len(dataset.domains) == 7
    domains = dataset.domain_of_samples()
    for domain in range(7):
        counts = np.bincount(stages[domains == domain], minlength=3)
        assert counts.max() - counts.min() <= 1
    orders = {
        name: read_order(store.folder(run.order.artifact), len(dataset))
        for name, run in runs.items()
    }
    assert (np.diff(stages[orders["progression"]]) >= 0).all()
    assert np.array_equal(np.sort(orders["progression"]), np.sort(orders["static"]))
    assert set(stages[orders["hardest"]]) == {2}
    scores = read_scores(folders["scores"], "flesch_reading_ease")
    means = [scores[stages == stage].mean() for stage in range(3)]
    assert means[0] > means[1] > means[2]
