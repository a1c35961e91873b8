from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import apply, jaccard, prose, step_of, table_of

from curricle.core.errors import InputError
from curricle.recipes.lsh import Shape
from curricle.recipes.specs.steps import ExactDedup, MinHashDedup
from curricle.recipes.steps.deduplication import shape_of

EXACT = ExactDedup(step="exact-dedup")
NEAR = MinHashDedup(step="minhash-dedup")

TEXT = prose(1, 200)
CHANGED = TEXT.replace("Carriage", "Wagon", 1).replace("horse", "mule", 1)


def test_exact_dedup_keeps_the_smallest_id_whatever_the_order() -> None:
    texts = {"c": TEXT, "b": TEXT.replace("\n", " "), "x": prose(2), "a": f"\n{TEXT}"}
    for names in ("cbxa", "axbc"):
        applied = apply(EXACT, table_of({name: texts[name] for name in names}))
        assert sorted(applied.ids) == ["a", "x"]
        assert applied.account["dropped"] == {"exact-duplicate": {"prose": 2}}
        assert {example.kept for example in applied.dropped} == {"a"}


def test_exact_dedup_leaves_near_duplicates() -> None:
    assert apply(EXACT, table_of({"a": TEXT, "b": TEXT.upper(), "c": CHANGED})).table.num_rows == 3


def test_minhash_dedup_keeps_the_smallest_id_of_each_cluster() -> None:
    assert jaccard(TEXT, CHANGED) > 0.8
    texts = {"d": CHANGED, "b": TEXT, "a": prose(3), "c": TEXT.upper()}
    applied = apply(NEAR, table_of(texts))
    assert applied.ids == ["b", "a"]
    assert applied.account["dropped"] == {"near-duplicate": {"prose": 2}}
    of = {
        example.id: (example.value, example.threshold, example.kept) for example in applied.dropped
    }
    assert of == {"c": (1.0, 0.7, "b"), "d": (pytest.approx(jaccard(TEXT, CHANGED)), 0.7, "b")}


def test_the_threshold_decides() -> None:
    similarity = jaccard(TEXT, CHANGED)
    documents = table_of({"a": TEXT, "b": CHANGED})
    for threshold, expected in ((similarity - 0.01, 1), (similarity + 0.01, 2)):
        step = NEAR.model_copy(update={"threshold": threshold})
        assert apply(step, documents).table.num_rows == expected


def test_unverified_pairs_count_as_they_are() -> None:
    documents = table_of({"a": TEXT, "b": CHANGED, "c": prose(5, 200)})
    step = step_of(step="minhash-dedup", bands=14, rows=8, threshold=0.99, verify=False)
    applied = apply(step, documents)
    assert applied.ids == ["a", "c"]
    # The share of equal hashes estimates the similarity.
    assert applied.dropped[0].value == pytest.approx(jaccard(TEXT, CHANGED), abs=0.12)


@pytest.mark.parametrize("step", [EXACT, NEAR])
def test_scope_and_keep(step: ExactDedup | MinHashDedup) -> None:
    longer = f"{TEXT}\n\n"
    documents = pa.concat_tables(
        [table_of({"a": TEXT, "b": longer}, "blogs"), table_of({"c": longer + "\n"}, "news")]
    )
    for settings, kept in (
        ({}, "a"),
        ({"scope": "domain"}, "ac"),
        ({"keep": "longest"}, "c"),
        ({"keep": "longest", "scope": "domain"}, "bc"),
        ({"keep": {"column": "domain"}}, "c"),
        ({"keep": {"column": "domain", "order": "lowest"}}, "a"),
    ):
        chosen = step_of(**{"step": step.step, **settings})
        assert "".join(apply(chosen, documents).ids) == kept, settings


def test_keep_by_a_column_of_the_corpus() -> None:
    documents = table_of({"a": TEXT, "b": TEXT, "c": TEXT, "d": prose(2)})
    documents = documents.append_column("stars", pa.array([2, 5, None, 1]))
    for order, kept in (("highest", "b"), ("lowest", "a")):
        step = step_of(step="exact-dedup", keep={"column": "stars", "order": order})
        assert apply(step, documents).ids == [kept, "d"]
    step = step_of(step="exact-dedup", keep={"column": "likes"})
    with pytest.raises(
        InputError, match=r"keep: column 'likes', expected one of id, text, .*stars"
    ):
        apply(step, documents)


@pytest.mark.parametrize("step", [EXACT, NEAR])
def test_the_order_of_rows_doesnt_decide_what_stays(step: ExactDedup | MinHashDedup) -> None:
    documents = table_of({f"{n:02}": prose(n % 7, 100) for n in range(20)})
    kept = apply(step, documents)
    shuffled = documents.take(np.random.default_rng(0).permutation(20))
    assert sorted(kept.ids) == sorted(apply(step, shuffled).ids)
    assert kept.ids == [f"{n:02}" for n in range(7)]


def test_bands_and_rows_are_given_or_follow_from_the_threshold() -> None:
    assert shape_of(MinHashDedup(step="minhash-dedup", bands=14, rows=8)) == Shape(14, 8)
    for threshold in (0.5, 0.7, 0.9, 1.0):
        verified = shape_of(MinHashDedup(step="minhash-dedup", threshold=threshold))
        plain = shape_of(MinHashDedup(step="minhash-dedup", threshold=threshold, verify=False))
        assert verified.bands * verified.rows <= 112
        assert verified.probability(threshold) >= 0.95
        assert plain.probability(threshold) >= 0.5
        # One row more would miss too much.
        sharper = Shape(112 // (verified.rows + 1), verified.rows + 1)
        assert sharper.probability(threshold) < 0.95 or threshold == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bands": 14}, "one of bands and rows"),
        ({"bands": 20, "rows": 8}, "20 bands of 8 rows"),
        ({"threshold": 0}, "greater than 0"),
    ],
)
def test_settings_that_dont_go_together_are_refused(
    settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        step_of(step="minhash-dedup", **settings)


@pytest.mark.parametrize(("order", "kept"), [("highest", "b"), ("lowest", "c")])
def test_keep_by_a_table(order: str, kept: str, tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": ["d", "c", "b"], "stars": [9.0, 1.5, 2.5]}), path)
    keep = {"column": "stars", "scores": path, "order": order}
    documents = table_of({"a": "same", "b": "same", "c": "same", "d": "other"})
    with pytest.raises(InputError, match="no stars for 1 of 4 documents, such as 'a'"):
        apply(step_of(step="exact-dedup", keep=keep), documents)
    step = step_of(step="exact-dedup", keep={**keep, "missing": "drop"})
    assert apply(step, documents).ids == [kept, "d"]
    assert path not in str(step.identity)
    assert step.score_files == (path,)
