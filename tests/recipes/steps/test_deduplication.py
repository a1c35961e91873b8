import numpy as np
import pytest
from tests.recipes.made_up import jaccard, prose, table_of

from curricle.recipes.documents import Drops
from curricle.recipes.specs.steps import ExactDedup, MinHashDedup
from curricle.recipes.steps import apply_step

EXACT = ExactDedup(step="exact-dedup")
NEAR = MinHashDedup(step="minhash-dedup")

TEXT = prose(1, 200)
CHANGED = TEXT.replace("Carriage", "Wagon", 1).replace("horse", "mule", 1)


def test_exact_dedup_keeps_the_smallest_id_whatever_the_order() -> None:
    texts = {"c": TEXT, "b": TEXT.replace("\n", " "), "x": prose(2), "a": f"\n{TEXT}"}
    for names in ("cbxa", "axbc"):
        drops = Drops()
        kept = apply_step(EXACT, table_of({name: texts[name] for name in names}), 0, drops)
        assert sorted(kept["id"].to_pylist()) == ["a", "x"]
        assert drops.to_plain() == {"exact-duplicate": {"prose": 2}}


def test_exact_dedup_leaves_near_duplicates() -> None:
    kept = apply_step(EXACT, table_of({"a": TEXT, "b": TEXT.upper(), "c": CHANGED}), 0, Drops())
    assert kept.num_rows == 3


def test_minhash_dedup_keeps_the_smallest_id_of_each_cluster() -> None:
    assert jaccard(TEXT, CHANGED) > 0.8
    texts = {"d": CHANGED, "b": TEXT, "a": prose(3), "c": TEXT.upper()}
    drops = Drops()
    kept = apply_step(NEAR, table_of(texts), 0, drops)
    assert kept["id"].to_pylist() == ["b", "a"]
    assert drops.to_plain() == {"near-duplicate": {"prose": 2}}


def test_the_threshold_decides() -> None:
    similarity = jaccard(TEXT, CHANGED)
    documents = table_of({"a": TEXT, "b": CHANGED})
    for threshold, expected in ((similarity - 0.01, 1), (similarity + 0.01, 2)):
        step = NEAR.model_copy(update={"threshold": threshold})
        assert apply_step(step, documents, 0, Drops()).num_rows == expected


@pytest.mark.parametrize("step", [EXACT, NEAR])
def test_the_order_of_rows_doesnt_decide_what_stays(step: ExactDedup | MinHashDedup) -> None:
    documents = table_of({f"{n:02}": prose(n % 7, 100) for n in range(20)})
    kept = apply_step(step, documents, 0, Drops())
    shuffled = documents.take(np.random.default_rng(0).permutation(20))
    again = apply_step(step, shuffled, 0, Drops())
    assert sorted(kept["id"].to_pylist()) == sorted(again["id"].to_pylist())
    assert kept["id"].to_pylist() == [f"{n:02}" for n in range(7)]
