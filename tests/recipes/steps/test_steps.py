from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recipes.engines import Pickling
from tests.recipes.made_up import apply, prose, step_of, table_of

from curricle.core.errors import InputError
from curricle.recipes import document_file, shuffle
from curricle.recipes import engine as engine_module
from curricle.recipes.document_file import Documents
from curricle.recipes.documents import write_documents
from curricle.recipes.dropped import DROPPED, EXAMPLES, EXCERPT, read_dropped
from curricle.recipes.steps import DOCUMENTS, read_accounts, run_step

# One of each kind that can drop or change something without texts from elsewhere.
STEPS: list[dict[str, Any]] = [
    {"step": "exact-dedup"},
    {"step": "exact-dedup", "scope": "domain", "keep": "longest"},
    {"step": "minhash-dedup", "ngram": 2, "threshold": 0.5},
    {"step": "minhash-dedup", "ngram": 1, "bands": 20, "rows": 2, "verify": False},
    {"step": "line-dedup", "minimum_characters": 3},
    {"step": "paragraph-dedup", "minimum_characters": 3},
    {"step": "gopher-quality", "minimum_words": 3},
    {"step": "gopher-repetition"},
    {"step": "c4", "minimum_sentences": 1},
    {"step": "fineweb"},
    {"step": "length", "minimum_words": 2, "maximum_characters": 250},
    {"step": "mtld", "minimum_mtld": 4},
    {"step": "flesch-reading-ease", "minimum_flesch_reading_ease": 20},
    {"step": "compression-ratio", "maximum_compression_ratio": 1.5},
    {"step": "bucket", "by": "mtld", "upper": 0.5},
    {"step": "bucket", "by": "words", "lower": 0.4, "scope": "all"},
    {"step": "select", "domains": ("prose",)},
    {"step": "select", "source_patterns": ("*1", "x")},
    {"step": "shuffle-letters"},
    {"step": "shuffle-words"},
    {"step": "duplicate-documents"},
]
NAMES = [f"{number}-{step['step']}" for number, step in enumerate(STEPS)]

TEXTS = st.lists(
    st.text(st.sampled_from("ab .\n#-…é中😀'"), max_size=40)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from([prose(1, 40), prose(2, 40), "a b c. d e f.", "- x ...\n" * 3, "", "{"]),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("settings_of", STEPS, ids=NAMES)
@settings(max_examples=25, deadline=None)
@given(texts=TEXTS)
def test_kept_and_dropped_are_all_that_was_seen(
    settings_of: dict[str, Any], texts: list[str]
) -> None:
    documents = table_of({f"{index:02}": text for index, text in enumerate(texts)})
    try:
        table, account, dropped = apply(step_of(**settings_of), documents)
    except InputError:
        return
    assert account["seen"] == len(texts)
    assert account["kept"] == table.num_rows - account.get("added", 0)
    counted = {reason: sum(domains.values()) for reason, domains in account["dropped"].items()}
    assert account["kept"] + sum(counted.values()) == len(texts)
    assert sorted(counted) == sorted({example.reason for example in dropped})
    left = set(table["id"].to_pylist())
    assert not left & {example.id for example in dropped}
    assert {example.id for example in dropped} | left >= set(documents["id"].to_pylist())
    assert table.schema == documents.schema


@pytest.mark.parametrize("settings_of", STEPS, ids=NAMES)
def test_batches_dont_change_the_result(
    settings_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {f"{n:02}": prose(n % 17, 30 + n) + "- ...\n" * (n % 3) for n in range(30)}
    documents = pa.concat_tables([table_of(texts), table_of({"x": prose(3, 33)}, "other")])
    whole = apply(step_of(**settings_of), documents, seed=1)
    monkeypatch.setattr(document_file, "BATCH_ROWS", 4)
    batched = apply(step_of(**settings_of), documents, seed=1)
    assert batched.table.equals(whole.table)
    assert batched.account == whole.account
    assert batched.dropped == whole.dropped


@pytest.mark.parametrize("settings_of", STEPS, ids=NAMES)
def test_shards_and_engines_dont_change_the_result(
    settings_of: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {f"{n:02}": prose(n % 17, 30 + n) + "- ...\n" * (n % 3) for n in range(60)}
    documents = pa.concat_tables([table_of(texts), table_of({"x": prose(3, 33)}, "other")])
    whole = apply(step_of(**settings_of), documents, seed=1)
    pq.write_table(documents, tmp_path / "documents.parquet", row_group_size=3)
    monkeypatch.setattr(engine_module, "LEAST_BYTES", 3_000)
    monkeypatch.setattr(shuffle, "PARTITION_BYTES", 3_000)
    engine = Pickling()
    parts = apply(step_of(**settings_of), tmp_path / "documents.parquet", 1, engine)
    assert parts.table.equals(whole.table)
    assert parts.account == whole.account
    assert parts.dropped == whole.dropped
    # A step that picks documents by their domain has nothing to map.
    assert engine.mapped > 4 or settings_of["step"] == "select"


def test_steps_write_documents_examples_and_all_accounts_so_far(tmp_path: Path) -> None:
    texts = {"a": prose(1), "b": prose(1), "c": "too short", "d": prose(2)}
    write_documents(tmp_path / "documents.parquet", table_of(texts))
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    stored = Documents(tmp_path / "documents.parquet")
    before = run_step(step_of(step="exact-dedup"), stored, None, 0, first)
    run_step(step_of(step="shuffle-words"), Documents(first / DOCUMENTS), None, 0, second, before)
    assert pq.read_table(second / DOCUMENTS)["id"].to_pylist() == ["a", "c", "d"]
    (example,) = read_dropped(first / DROPPED)
    assert (example.id, example.reason, example.kept) == ("b", "exact-duplicate", "a")
    assert read_accounts(second) == [
        {
            "step": "exact-dedup",
            "seen": 4,
            "kept": 3,
            "dropped": {"exact-duplicate": {"prose": 1}},
        },
        {"step": "shuffle-words", "seen": 3, "kept": 3, "dropped": {}},
    ]


def test_the_step_that_leaves_nothing_is_named() -> None:
    documents = table_of({"a": prose(1), "b": prose(2)})
    with pytest.raises(InputError, match=r"step length drops all 2 .*\(minimum-words\)"):
        apply(step_of(step="length", minimum_words=10_000), documents)


def test_a_drop_names_rule_value_and_threshold() -> None:
    documents = table_of({"long": prose(1, 80), "short": "just five words of text"})
    applied = apply(step_of(step="gopher-quality", minimum_alphabetic_word_share=None), documents)
    (example,) = applied.dropped
    assert example.reason == "minimum-words"
    assert (example.value, example.threshold) == (5.0, 50.0)
    assert (example.id, example.excerpt) == ("short", "just five words of text")


def test_examples_are_bounded_and_the_same_whatever_the_order() -> None:
    texts = {f"{number:04}": f"{number} " * 1000 for number in range(4 * EXAMPLES)}
    documents = table_of({**texts, "kept": prose(1)})
    step = step_of(step="length", maximum_characters=1000)
    applied = apply(step, documents)
    assert applied.account["dropped"] == {"maximum-characters": {"prose": 4 * EXAMPLES}}
    assert len(applied.dropped) == EXAMPLES
    assert {len(example.excerpt) for example in applied.dropped} == {EXCERPT}
    shuffled = documents.take(np.random.default_rng(0).permutation(documents.num_rows))
    assert apply(step, shuffled).dropped == applied.dropped
