import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.errors import InputError
from curricle.core.order_file import read_order
from curricle.core.scores_file import column_of, read_halves, read_scores
from curricle.core.store import Store
from curricle.core.token_dataset import TokenDataset
from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.loading import load_study
from curricle.recipes.text_statistics import measure_texts
from curricle.recipes.tokenizing import decode
from curricle.tasks.order import SortedOrderStep
from curricle.tasks.plan import StudyPlan


@pytest.fixture
def study(tiny_study: Path, tmp_path: Path) -> Path:
    """The tiny study over made-up documents of very different redundancy."""
    texts = [prose(seed, 60) if seed % 2 else prose(seed, 10) * (4 + seed) for seed in range(60)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "corpus.jsonl").write_text(lines)
    return tiny_study


def _order(study: Path, tmp_path: Path, order: str) -> SortedOrderStep:
    corpus = f"{{mine: {{source: files, path: {tmp_path / 'corpus.jsonl'}, domain: mine}}}}"
    recipe = f"recipes.low-entropy-first={{order: {order}}}"
    plan = StudyPlan(load_study(str(study), [f"corpora={corpus}", recipe]))
    run = next(run for run in plan.ranking.runs() if run.recipe == "low-entropy-first")
    assert isinstance(run.order, SortedOrderStep)
    return run.order


def test_samples_are_ordered_by_a_statistic_of_their_documents(study: Path, tmp_path: Path) -> None:
    order = _order(study, tmp_path, "{by: compression-ratio, direction: v-shaped}")
    store = Store(str(tmp_path / "made"))
    make(store, [order])
    scores = read_scores(store.folder(order.scores.artifact), "compression_ratio")
    assert scores.min() < 0.5 * scores.max()
    read = scores[read_order(store.folder(order.artifact), len(scores))]
    lowest = int(np.argmin(read))
    assert np.all(np.diff(read[: lowest + 1]) <= 0)
    assert np.all(np.diff(read[lowest:]) >= 0)
    assert len(scores) == len(TokenDataset(store.folder(order.random.dataset.artifact), 32))


def test_given_scores_must_be_of_the_same_dataset(study: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "made"))
    first = _order(study, tmp_path, "{by: words}")
    make(store, [first])
    address = f"{store.root}/{first.scores.artifact.key}"
    again = _order(study, tmp_path, f"{{by: words, scores: {address}, direction: descending}}")
    make(store, [again])
    rising, falling = (
        read_order(store.folder(step.artifact), 10**6).tolist() for step in (first, again)
    )
    assert sorted(rising) == sorted(falling)
    assert rising != falling

    (tmp_path / "corpus.jsonl").write_text((tmp_path / "corpus.jsonl").read_text() * 2)
    other = _order(study, tmp_path, f"{{by: words, scores: {address}}}")
    with pytest.raises(InputError, match=r"scores .*: of dataset dataset/\w+/\w+, expected scores"):
        _ = other.artifact
    missing = _order(study, tmp_path, f"{{by: words, scores: {store.root}/scores/x/0}}")
    with pytest.raises(InputError, match=r"scores/x/0: not there"):
        _ = missing.artifact


def test_samples_are_ordered_by_a_table(study: Path, tmp_path: Path) -> None:
    first = _order(study, tmp_path, "{by: words}")
    store = Store(str(tmp_path / "made"))
    make(store, [first.random.dataset])
    dataset = store.folder(first.random.dataset.artifact)
    ids = pq.read_table(dataset / "documents.parquet")["id"].to_pylist()
    quality = np.random.default_rng(0).permutation(len(ids)).astype(float)
    table = tmp_path / "signals.parquet"
    pq.write_table(pa.table({"id": ids, "how-good": quality}), table)
    order = _order(
        study, tmp_path, f"{{by: {{scores: {table}, column: how-good}}, direction: descending}}"
    )
    make(store, [order])
    scores = read_scores(store.folder(order.scores.artifact), "how_good")
    read = scores[read_order(store.folder(order.artifact), len(scores))]
    assert np.all(np.diff(read) <= 0)
    assert scores.min() < scores.mean() < scores.max()

    pq.write_table(pa.table({"id": ids, "how-good": quality[::-1]}), table)
    other = _order(study, tmp_path, f"{{by: {{scores: {table}, column: how-good}}}}")
    assert other.scores.artifact != order.scores.artifact


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (
            "{by: {scores: a.parquet, column: c}, scores: s/scores/n/f}",
            "order by a table, and scores beside it, expected one of the two",
        ),
        (
            "{by: {scores: a.parquet, column: c, missing: drop}}",
            "an order by a table with missing: drop, expected a number for every document",
        ),
        ("{by: wrods}", "order by 'wrods', expected one of unigram-entropy, characters"),
        ("{by: words, folds: 3}", "folds with ascending, expected folds with interleaved alone"),
        ("{by: words, direction: interleaved, folds: 1}", "folds: 1, expected greater than or"),
    ],
)
def test_orders_that_cant_be_are_refused(
    study: Path, tmp_path: Path, order: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _order(study, tmp_path, order)


def test_texts_columns_and_combinations_score_samples(study: Path, tmp_path: Path) -> None:
    corpus = f"{{mine: {{source: files, path: {tmp_path / 'corpus.jsonl'}, domain: mine}}}}"
    scoring = """{tokens: 2048, learning_rate: 1e-2, compare: [mtld, length, both],
      combinations: {both: {compression-ratio: 1, length: -3}}}"""
    plan = StudyPlan(
        load_study(
            str(study), [f"corpora={corpus}", f"scoring={scoring}", "evaluation.multiple_choice="]
        )
    )
    plan_scores = plan.curricula.scoring
    steps = {
        name: plan_scores.step("untouched", name, 0)
        for name in ("mtld", "compression-ratio", "length", "both")
    }
    assert steps["mtld"].artifact == steps["compression-ratio"].artifact
    store = Store(str(tmp_path / "made"))
    make(store, list(steps.values()))
    folders = {name: store.folder(step.artifact) for name, step in steps.items()}
    dataset = TokenDataset(store.folder(plan.preparation.datasets["untouched"].artifact), 32)
    assert all(len(read_scores(folders[name], column_of(name))) == len(dataset) for name in steps)
    tokenizer = load_tokenizer(store.folder(plan.preparation.tokenizer.artifact))
    shown = decode(tokenizer, dataset.read(np.array([5]))[0, :-1].tolist()).replace(
        "<|endoftext|>", ""
    )
    expected = measure_texts([shown], ["mtld"])["mtld"][0]
    assert read_scores(folders["mtld"], "mtld")[5] == pytest.approx(expected)
    assert read_halves(folders["mtld"], "mtld") is not None
    ranks = {
        name: read_scores(folders[name], column_of(name) + "_rank")
        for name in ("compression-ratio", "length")
    }
    combined = (ranks["compression-ratio"] - 3 * ranks["length"]) / 4
    np.testing.assert_allclose(read_scores(folders["both"], "both"), combined)
    assert read_halves(folders["both"], "both") is None  # a document's length has no halves


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("curricula.x={score: learnabilty}", "score 'learnabilty', expected one of learnability"),
        ("scoring.compare=[x]", "score 'x', expected one of"),
        ("scoring.combinations={both: {x: 1}}", "both: score 'x', expected one of"),
        ("scoring.columns={mtld: {scores: p, column: c}}", "score 'mtld', twice"),
        (
            "scoring.columns={mine: {scores: p, column: c, missing: drop}}",
            "score 'mine': documents without one dropped, expected a number for every",
        ),
    ],
)
def test_scores_that_nothing_measures_are_refused(study: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(str(study), [override])


@pytest.mark.parametrize("known", [True, False])
def test_a_column_that_the_user_brings_is_joined_by_id(
    study: Path, tmp_path: Path, known: bool
) -> None:
    corpus = f"{{mine: {{source: files, path: {tmp_path / 'corpus.jsonl'}, domain: mine}}}}"
    column = f"{{quality: {{scores: {tmp_path / 'quality.parquet'}, column: q}}}}"
    overrides = [f"corpora={corpus}", f"scoring.columns={column}", "evaluation.multiple_choice="]
    plan, store = StudyPlan(load_study(str(study), overrides)), Store(str(tmp_path / "made"))
    dataset = plan.preparation.datasets["untouched"]
    make(store, [dataset])
    documents = pq.read_table(store.folder(dataset.artifact) / "documents.parquet")
    names = documents["id"].to_pylist()
    values = pa.array([float(len(names) - i) for i in range(len(names))])
    table = pa.table({"id": names[::-1], "q": values[::-1]})
    pq.write_table(table if known else table[1:], tmp_path / "quality.parquet")
    step = plan.curricula.scoring.step("untouched", "quality", 0)
    if not known:
        with pytest.raises(InputError, match=f"no q for 1 of {len(names)} documents"):
            make(store, [step])
        return
    make(store, [step])
    scores = read_scores(store.folder(step.artifact), "quality")
    # Documents lie in the order of the table, and their values fall.
    assert np.all(np.diff(scores) <= 0)
    assert scores[0] == pytest.approx(len(names), abs=1)
