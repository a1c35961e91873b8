import json
from pathlib import Path

import numpy as np
import pytest
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.errors import InputError
from curricle.core.order_file import read_order
from curricle.core.scores_file import read_scores
from curricle.core.store import Store
from curricle.core.token_dataset import TokenDataset
from curricle.recipes.loading import load_study
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


@pytest.mark.parametrize(
    ("order", "message"),
    [
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
