import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.store import Store
from curricle.core.token_dataset import TokenDataset
from curricle.recipes.loading import load_study
from curricle.tasks.plan import StudyPlan
from curricle.tasks.prepared import Prepared, PreparedRow, prepared_of, render_prepared

RECIPES = """
  untouched: {}
  again: {order: {by: unigram-entropy}}
  mixed: {steps: [{step: exact-dedup}], mix: {weights: {news: 1}, tokens: 3000}}
  doubled: {steps: [{step: duplicate-documents, share: 0.5}]}
"""


@pytest.fixture
def plan(tiny_study: Path, tmp_path: Path) -> StudyPlan:
    texts = {
        "news": [prose(seed) for seed in range(60)],
        "code": [prose(seed) for seed in range(80, 120)],
    }
    texts["news"] += [f"{text}\n" for text in texts["news"][:20]]
    rows: list[dict[str, str | None]]
    rows = [{"text": text, "kind": kind} for kind, some in texts.items() for text in some]
    rows += [{"text": None, "kind": "news"}, {"text": "no kind", "kind": None}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = f"{{source: files, path: {tmp_path / 'a.jsonl'}, domain_column: kind}}"
    return StudyPlan(
        load_study(str(tiny_study), [f"corpora={{mine: {source}}}", f"recipes={RECIPES}"])
    )


@pytest.fixture
def prepared(plan: StudyPlan, tmp_path: Path) -> Prepared:
    store = Store(str(tmp_path / "made"))
    make(store, plan.preparation.datasets.values())
    return prepared_of(plan, store)


def _row(prepared: Prepared, recipe: str, domain: str) -> PreparedRow:
    (row,) = (one for one in prepared.rows if recipe in one.recipes and one.domain == domain)
    return row


def test_what_left_and_what_stayed_is_what_was_there(prepared: Prepared) -> None:
    corpus = prepared.corpus
    assert corpus["seen"] == 122
    assert corpus["kept"] + sum(corpus["dropped"].values()) == corpus["seen"]
    assert corpus["dropped"]["null-text"] == corpus["dropped"]["no-domain"] == 1
    whole = _row(prepared, "untouched", "all")
    assert whole.recipes == ("untouched", "again")
    assert whole.kept == 1
    assert whole.dropped == {}
    mixed = _row(prepared, "mixed", "all")
    assert mixed.tokens == 3000
    assert mixed.documents + sum(mixed.dropped.values()) == whole.documents
    assert mixed.dropped["exact-duplicate"] > 0
    code = _row(prepared, "mixed", "code")
    assert (code.documents, code.kept) == (0, 0)
    assert code.dropped == {"not-in-mix": _row(prepared, "untouched", "code").documents}
    assert _row(prepared, "doubled", "all").kept > 1.5


def test_numbers_are_those_of_the_dataset(
    prepared: Prepared, plan: StudyPlan, tmp_path: Path
) -> None:
    folder = Store(str(tmp_path / "made")).folder(plan.preparation.datasets["mixed"].artifact)
    rows = pq.read_table(folder / "documents.parquet").to_pylist()
    row = _row(prepared, "mixed", "news")
    assert row.documents == len(rows)
    assert row.bytes == sum(one["bytes"] for one in rows)
    assert TokenDataset(folder, 1).manifest["domains"]["news"]["tokens"] == row.tokens


def test_the_table_names_each_dataset_once(prepared: Prepared) -> None:
    corpus, header, *lines = render_prepared(prepared).splitlines()
    assert corpus.startswith("corpus: ")
    assert "null-text 1" in corpus
    assert header.split() == [
        *("recipe", "domain", "documents", "bytes", "tokens", "kept", "dropped")
    ]
    assert len(lines) == 3 * 3
    assert [line.split("  ")[0] for line in lines[::3]] == ["untouched, again", "mixed", "doubled"]
    assert json.loads(json.dumps(prepared.to_plain()))["recipes"][0]["domain"] == "all"
