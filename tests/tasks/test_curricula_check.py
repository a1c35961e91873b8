"""What can't be read under a curriculum is told before anything is trained."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tests.conftest import Curricle
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.cli import commands
from curricle.core.errors import InputError
from curricle.core.scores_file import write_scores
from curricle.core.store import Artifact, Request, Store
from curricle.recipes.loading import load_study
from curricle.tasks.curricula_check import check_candidates, check_recipe
from curricle.tasks.given_scores import GivenScoresStep, ScoringCost
from curricle.tasks.plan import StudyPlan

RECIPES = """{
  untouched: {},
  only-a: {steps: [{step: select, domains: [a]}]},
  shuffled-letters: {role: bad-control, steps: [{step: shuffle-letters}]}}"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    rows = [{"text": prose(seed, 60), "domain": "ab"[seed % 2]} for seed in range(40)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Store(str(tmp_path / "made"))


def _settings(tiny_study: Path, curriculum: str) -> list[str]:
    corpus = tiny_study.parent / "corpus.jsonl"
    source = f"{{mine: {{source: files, path: {corpus}, domain_column: domain}}}}"
    return [f"corpora={source}", f"recipes={RECIPES}", f"curricula={{x: {curriculum}}}"]


def _plan(tiny_study: Path, curriculum: str, *overrides: str) -> StudyPlan:
    settings = _settings(tiny_study, curriculum)
    return StudyPlan(load_study(str(tiny_study), [*settings, *overrides]))


def _prepared(plan: StudyPlan, store: Store) -> StudyPlan:
    make(store, plan.preparation.datasets.values())
    return plan


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        (
            "{pacing: stages, stages: [{tokens: 4096, mix: {poems: 1}}]}",
            "recipe untouched: stage 1 reads domain 'poems', which has no samples",
        ),
        (
            "{pacing: stages, max_repeats: 1, stages: [{tokens: 4096, top: 0.01}]}",
            "have been read 1 times, expected max_repeats that is enough",
        ),
        ("{max_repeats: 1, start_fraction: 0.01, full_at: 1}", "have been read 1 times"),
        ("{pacing: oversampled-v, oversampling: 50, max_repeats: 1}", "epochs, expected at most"),
    ],
)
def test_what_no_candidate_has_is_told_once_datasets_are_there(
    tiny_study: Path, store: Store, curriculum: str, message: str
) -> None:
    plan = _plan(tiny_study, curriculum)
    check_candidates(plan, store)
    with pytest.raises(InputError, match=message):
        check_candidates(_prepared(plan, store), store)


def test_a_dry_run_tells_it_too(tiny_study: Path, store: Store) -> None:
    curriculum = "{max_repeats: 1, start_fraction: 0.01, full_at: 1}"
    _prepared(_plan(tiny_study, curriculum), store)
    settings = [*_settings(tiny_study, curriculum), f"store={store.root}"]
    arguments = [word for setting in settings for word in ("--set", setting)]
    printed = CliRunner().invoke(commands, ["run", str(tiny_study), "--dry-run", *arguments])
    assert isinstance(printed.exception, InputError)
    assert "have been read 1 times" in str(printed.exception)


def test_a_recipe_that_lacks_what_others_have_is_told_when_it_is_best(
    tiny_study: Path, store: Store
) -> None:
    plan = _plan(tiny_study, "{pacing: stages, stages: [{tokens: 4096, mix: {b: 1}}]}")
    check_candidates(_prepared(plan, store), store)
    check_recipe(plan, store, "untouched")
    with pytest.raises(InputError, match="recipe only-a: stage 1 reads domain 'b'"):
        check_recipe(plan, store, "only-a")


def _stored_scores(
    store: Store,
    inputs: Mapping[str, Artifact],
    values: np.ndarray,
    facts: Mapping[str, Any] | None = None,
) -> str:
    def build(folder: Path) -> dict[str, Any]:
        write_scores(folder, ["a"] * len(values), {"mtld": values})
        return {"flops": 0, **(facts or {})}

    made = store.produce(Request("scores", "x", {"scores": "made up"}, inputs, 1), build)
    return f"{store.root}/{made.key}"


def test_given_scores_that_lack_a_number_are_told_while_planning(
    tiny_study: Path, store: Store
) -> None:
    plan = _prepared(_plan(tiny_study, "{}"), store)
    dataset = plan.preparation.datasets["untouched"].artifact
    address = _stored_scores(store, {"dataset": dataset}, np.array([1.0, np.nan, 2.0]))
    given = _plan(tiny_study, f"{{score: mtld, scores: {address}}}")
    with pytest.raises(InputError, match=r"scores .*made/scores/x.*: 1 samples without a number"):
        given.layout(store)


def test_given_scores_of_too_few_samples_are_told_once_the_dataset_is_there(
    tiny_study: Path, store: Store
) -> None:
    plan = _prepared(_plan(tiny_study, "{}"), store)
    dataset = plan.preparation.datasets["untouched"].artifact
    address = _stored_scores(store, {"dataset": dataset}, np.array([1.0, 2.0]))
    given = _plan(tiny_study, f"{{score: mtld, scores: {address}}}")
    with pytest.raises(InputError, match=r"2 samples, expected the \d+ samples of dataset"):
        check_candidates(given, store)


def _by_a_table(
    tiny_study: Path, store: Store, lacks: str, curriculum: str, *overrides: str
) -> list[str]:
    """Settings of a study by a table that lacks the second document, its number, or nothing."""
    plan = _prepared(_plan(tiny_study, "{}"), store)
    dataset = store.folder(plan.preparation.datasets["untouched"].artifact)
    ids = pq.read_table(dataset / "documents.parquet")["id"].to_pylist()
    numbers = {name: float(place) for place, name in enumerate(ids)}
    if lacks == "row":
        del numbers[ids[1]]
    elif lacks == "number":
        numbers[ids[1]] = math.nan
    table = tiny_study.parent / "quality.parquet"
    pq.write_table(pa.table({"id": list(numbers), "q": list(numbers.values())}), table)
    return [
        *_settings(tiny_study, curriculum),
        f"scoring.columns={{quality: {{scores: {table}, column: q}}}}",
        "scoring.combinations={both: {quality: 1, length: 1}}",
        *overrides,
    ]


@pytest.mark.parametrize("lacks", ["row", "number"])
@pytest.mark.parametrize(
    ("curriculum", "compare"), [("quality", "length"), ("both", "length"), ("length", "quality")]
)
def test_a_table_that_lacks_a_document_is_told_once_datasets_are_there(
    tiny_study: Path, store: Store, lacks: str, curriculum: str, compare: str
) -> None:
    ranked, compared = f"{{score: {curriculum}}}", f"scoring.compare=[{compare}]"
    settings = _by_a_table(tiny_study, store, lacks, ranked, compared)
    plan = StudyPlan(load_study(str(tiny_study), settings))
    message = (
        r"recipe untouched: scores .*: no q for 1 of \d+ documents.*in a recipe's step: missing"
    )
    with pytest.raises(InputError, match=message):
        check_recipe(plan, store, "untouched")


@pytest.mark.parametrize(("lacks", "curriculum"), [("", "both"), ("row", "length")])
def test_a_table_of_all_documents_is_fine_and_one_that_is_not_wanted(
    tiny_study: Path, store: Store, lacks: str, curriculum: str
) -> None:
    settings = _by_a_table(tiny_study, store, lacks, f"{{score: {curriculum}}}")
    check_recipe(StudyPlan(load_study(str(tiny_study), settings)), store, "untouched")


def test_a_run_ends_over_a_table_before_anything_is_trained(
    tiny_study: Path, store: Store, curricle: Curricle
) -> None:
    recipes = "{untouched: {}, letters: {role: bad-control, steps: [{step: shuffle-letters}]}}"
    more = (f"recipes={recipes}", f"store={store.root}")
    settings = _by_a_table(tiny_study, store, "number", "{score: quality}", *more)
    arguments = [word for setting in settings for word in ("--set", setting)]
    done = curricle("run", str(tiny_study), *arguments)
    assert done.returncode == 2
    assert "no q for 1 of" in done.stderr
    assert not list(store.artifacts("checkpoint"))


def _by_a_proxy(plan: StudyPlan, store: Store) -> str:
    """Scores by a proxy of the study, as its store would tell of them."""
    proxy = plan.curricula.scoring.from_proxy("untouched", "", plan.study.seed).proxy
    make(store, [proxy.order])
    request = Request("checkpoint", "p", {}, {"order": proxy.order.artifact}, 1)
    facts = {"training_flops": 70, "seconds": 2.0}
    dataset = plan.preparation.datasets["untouched"].artifact
    inputs = {"checkpoint": store.produce(request, lambda _: facts), "dataset": dataset}
    return _stored_scores(store, inputs, np.ones(3), {"flops": 5, "seconds": 0.5})


def _given(plan: StudyPlan) -> GivenScoresStep:
    curriculum = plan.study.curricula["x"]
    step = plan.curricula.scoring.of_curriculum("untouched", curriculum, 0)
    assert isinstance(step, GivenScoresStep)
    return step


def test_given_scores_cost_what_their_records_say(tiny_study: Path, store: Store) -> None:
    address = _by_a_proxy(_prepared(_plan(tiny_study, "{}"), store), store)
    step = _given(_plan(tiny_study, f"{{score: mtld, scores: {address}}}"))
    assert step.cost == ScoringCost(flops=75, seconds=2.5)
    store.remove(next(store.artifacts("checkpoint")))
    step = _given(_plan(tiny_study, f"{{score: mtld, scores: {address}}}"))
    assert step.cost is None


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ("scoring.holdout=0.3", "scoring.holdout=0.3", None),
        ("scoring.holdout=0.2", "scoring.holdout=0.3", None),
        ("scoring.holdout=0.4", "scoring.holdout=0.3", "holdout 0.4.*holdout 0.3 or less"),
    ],
)
def test_a_given_proxy_has_not_read_what_targets_read(
    tiny_study: Path, store: Store, theirs: str, ours: str, message: str | None
) -> None:
    address = _by_a_proxy(_prepared(_plan(tiny_study, "{}", theirs), store), store)
    step = _given(_plan(tiny_study, f"{{score: mtld, scores: {address}}}", ours))
    if message is None:
        assert step.given
        return
    with pytest.raises(InputError, match=message):
        _ = step.given
