from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import prose, table_of

from curricle.core.errors import InputError
from curricle.core.token_dataset import TokenDataset, read_manifest
from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.dataset import build_dataset
from curricle.recipes.document_file import Documents
from curricle.recipes.documents import write_documents
from curricle.recipes.specs.recipe import Recipe, TokenizerSpec
from curricle.recipes.steps import DOCUMENTS, run_step
from curricle.recipes.tokenizing import build_tokenizer, decode, tokenizer_digest

TEXTS = {
    domain: {f"{domain}{number}": prose(1000 * start + number, 60) for number in range(15)}
    for start, domain in enumerate(("blogs", "code", "news"))
}


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Path]:
    """A document table of three domains, and a folder with a tokenizer trained on it."""
    documents = pa.concat_tables(table_of(texts, domain) for domain, texts in TEXTS.items())
    write_documents(tmp_path / "train.parquet", documents)
    build_tokenizer(TokenizerSpec(vocabulary_size=300), tmp_path / "train.parquet", tmp_path)
    return tmp_path / "train.parquet", tmp_path


def _build(
    prepared: tuple[Path, Path], name: str, seed: int = 0, **recipe: Any
) -> tuple[dict[str, Any], Path]:
    folder = prepared[1] / name
    folder.mkdir()
    made = Recipe(**recipe)
    documents = prepared[0]
    accounts: list[dict[str, Any]] = []
    for number, step in enumerate(made.steps):
        place = prepared[1] / f"{name}-{number}"
        place.mkdir()
        accounts = run_step(step, Documents(documents), None, seed, place, accounts)
        documents = place / DOCUMENTS
    return build_dataset(made, documents, accounts, prepared[1], seed, folder), folder


def _documents(folder: Path, tokenizer_folder: Path) -> dict[str, str]:
    """Texts by id, read back from the shards."""
    tokenizer = load_tokenizer(tokenizer_folder)
    dtype = np.dtype(read_manifest(folder)["dtype"])
    texts = {}
    for row in pq.read_table(folder / "documents.parquet").to_pylist():
        shard = np.fromfile(folder / row["shard"], dtype)
        tokens = shard[row["offset"] : row["offset"] + row["tokens"]]
        assert tokens[-1] == 0
        assert 0 not in tokens[:-1]
        texts[row["id"]] = decode(tokenizer, tokens[:-1].tolist())
        assert row["bytes"] == len(texts[row["id"]].encode())
    return texts


def test_an_empty_recipe_keeps_every_text_as_it_is(prepared: tuple[Path, Path]) -> None:
    facts, folder = _build(prepared, "data")
    every = {key: text for texts in TEXTS.values() for key, text in texts.items()}
    assert _documents(folder, prepared[1]) == every
    assert facts["documents"] == len(every)
    assert facts["bytes"] == sum(len(text.encode()) for text in every.values())
    assert facts["tokens"] == sum(entry["tokens"] for entry in facts["domains"].values())
    assert sum(facts["shares"].values()) == pytest.approx(1)
    assert TokenDataset(folder, 16).domains == ["blogs", "code", "news"]


def test_the_manifest_says_what_happened(prepared: tuple[Path, Path]) -> None:
    steps = ({"step": "exact-dedup"},)
    texts = {"copy": TEXTS["news"]["news0"], **TEXTS["news"]}
    write_documents(prepared[0], table_of(texts))
    facts, folder = _build(prepared, "data", steps=steps)
    manifest = read_manifest(folder)
    assert manifest["tokenizer"] == tokenizer_digest(prepared[1])
    assert manifest["steps"] == facts["steps"]
    assert manifest["steps"] == [
        {
            "step": "exact-dedup",
            "seen": 16,
            "kept": 15,
            "dropped": {"exact-duplicate": {"prose": 1}},
        }
    ]


def test_documents_stand_in_a_seeded_order(prepared: tuple[Path, Path]) -> None:
    orders = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        _, folder = _build(prepared, name, seed)
        orders.append(pq.read_table(folder / "documents.parquet")["id"].to_pylist())
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    assert orders[0] != sorted(orders[0])
    assert [one[:4] for one in orders[0]] == sorted(one[:4] for one in orders[0])


def test_the_same_recipe_gives_the_same_bytes(prepared: tuple[Path, Path]) -> None:
    recipe: dict[str, Any] = {
        "steps": ({"step": "shuffle-letters"},),
        "mix": {"news": 2, "code": 1},
    }
    _, one = _build(prepared, "one", **recipe)
    _, two = _build(prepared, "two", **recipe)
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in two.iterdir())
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_a_mix_takes_beginnings_and_accounts_for_the_rest(prepared: tuple[Path, Path]) -> None:
    _, whole = _build(prepared, "whole")
    facts, folder = _build(prepared, "mixed", mix={"news": 3, "code": 1})
    assert set(facts["domains"]) == {"news", "code"}
    assert facts["domains"]["news"]["documents"] == len(TEXTS["news"])
    # Shares are met within one document; the longest has some 250 tokens of 5,000.
    assert facts["shares"]["news"] == pytest.approx(0.75, abs=0.03)
    ids = {
        folder: [
            row["id"]
            for row in pq.read_table(folder / "documents.parquet").to_pylist()
            if row["domain"] == "code"
        ]
        for folder in (whole, folder)
    }
    assert ids[folder] == ids[whole][: len(ids[folder])]
    (account,) = facts["steps"]
    assert account["step"] == "mix"
    assert account["dropped"]["not-in-mix"] == {"blogs": len(TEXTS["blogs"])}
    dropped = sum(sum(one.values()) for one in account["dropped"].values())
    assert account["kept"] + dropped == account["seen"]
    assert account["kept"] == facts["documents"]


def test_a_mix_of_missing_domains_names_them(prepared: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="mix names domain 'poems', which has no documents"):
        _build(prepared, "data", mix={"news": 1, "poems": 1})


def test_an_empty_corpus_is_refused(prepared: tuple[Path, Path]) -> None:
    write_documents(prepared[0], table_of({}))
    with pytest.raises(InputError, match="no documents to make a dataset of"):
        _build(prepared, "empty")


def test_a_budget_is_met_exactly_with_repeats_and_cuts(prepared: tuple[Path, Path]) -> None:
    whole, _ = _build(prepared, "whole")
    news = whole["domains"]["news"]["tokens"]
    budget = round(3.5 * news)
    mix = {"weights": {"news": 2.5, "code": 1}, "max_repeats": {"news": 3}, "tokens": budget}
    facts, folder = _build(prepared, "mixed", mix=mix)
    assert facts["tokens"] == budget
    assert facts["domains"]["news"]["tokens"] == pytest.approx(2.5 * news, abs=1)
    rows = pq.read_table(folder / "documents.parquet").to_pylist()
    counts = Counter(row["id"] for row in rows)
    assert {counts[name] for name in TEXTS["news"]} == {2, 3}
    assert [row["id"] for row in rows if row["domain"] == "news"][:15] == [
        row["id"] for row in rows if row["domain"] == "news"
    ][15:30]
    (account,) = facts["steps"]
    assert account["added"] == facts["documents"] - account["kept"]
    assert account["changed"]["cut-at-budget"]["news"] == 1
    tokenizer, texts = load_tokenizer(prepared[1]), TEXTS["news"] | TEXTS["code"]
    for row in rows:
        shard = np.fromfile(folder / row["shard"], read_manifest(folder)["dtype"])
        tokens = shard[row["offset"] : row["offset"] + row["tokens"]]
        assert tokens[-1] == 0
        text = decode(tokenizer, tokens[:-1])
        assert texts[row["id"]].startswith(text)
        assert row["bytes"] == len(text.encode())


def test_a_budget_out_of_reach_names_the_domain(prepared: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"10000000 tokens, for which domain '\w+' has too few"):
        _build(prepared, "data", mix={"weights": "uniform", "tokens": 10_000_000})


def test_how_documents_are_batched_changes_nothing(
    prepared: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, one = _build(prepared, "one")
    monkeypatch.setattr("curricle.recipes.document_file.BATCH_ROWS", 7)
    _, two = _build(prepared, "two")
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
