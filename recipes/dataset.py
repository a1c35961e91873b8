"""From a recipe and a document table to a dataset: steps, tokens, mix, shards."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curricle.core.errors import InputError
from curricle.core.token_dataset import DatasetWriter, TokenizedDocument
from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.documents import Drops, read_documents
from curricle.recipes.mixing import leading_documents, shares
from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.steps import apply_steps
from curricle.recipes.tokenizing import (
    END_OF_TEXT_ID,
    Tokens,
    encode,
    tokenizer_digest,
)

# Rows of a document table, by domain, in reading order.
Rows = dict[str, list[int]]


def build_dataset(
    recipe: Recipe, documents: Path, tokenizer: Path, seed: int, folder: Path
) -> dict[str, Any]:
    """Write the dataset that `recipe` makes of a document table; returns the manifest's counts.

    `recipe.order` isn't applied here: it is an order of the dataset's samples. Within a domain,
    documents stand in the order of a seeded hash of their ids, which is also the order in which a
    mix takes them. Raises InputError if no documents are left, or a domain of the mix has none.
    """
    loaded = load_tokenizer(tokenizer)
    table, accounts = apply_steps(recipe.steps, read_documents(documents), seed)
    _check_not_empty(table, accounts)
    tokens = list(encode(loaded, table["text"].to_pylist()))
    rows = _reading_order(table, seed)
    if recipe.mix:
        rows, account = _mixed(rows, tokens, recipe.mix)
        accounts.append(account)
    writer = DatasetWriter(
        folder, vocabulary_size=loaded.get_vocab_size(), end_of_text=END_OF_TEXT_ID
    )
    _write(writer, table, tokens, rows)
    manifest = writer.finish(tokenizer=tokenizer_digest(tokenizer), steps=accounts)
    return _facts(manifest)


def _reading_order(table: pa.Table, seed: int) -> Rows:
    """Rows of each domain in the order of a seeded hash of the document's id."""
    identifiers = table["id"].to_pylist()

    def place(row: int) -> bytes:
        return hashlib.sha256(f"{seed}/reading\0{identifiers[row]}".encode()).digest()

    rows: Rows = {}
    for row, domain in enumerate(table["domain"].to_pylist()):
        rows.setdefault(domain, []).append(row)
    return {domain: sorted(members, key=place) for domain, members in sorted(rows.items())}


def _mixed(
    rows: Rows, tokens: Sequence[Tokens], mix: Mapping[str, float]
) -> tuple[Rows, dict[str, Any]]:
    """The rows that `mix` takes, and an account of the others in the form of a step's."""
    # The end-of-text token counts: it is part of what a share of the dataset's tokens means.
    counts = {
        domain: np.asarray([len(tokens[row]) + 1 for row in members])
        for domain, members in rows.items()
    }
    taken = leading_documents(counts, mix)
    drops = Drops()
    for domain, members in rows.items():
        if domain not in taken:
            drops.add("not-in-mix", domain, len(members))
        elif taken[domain] < len(members):
            drops.add("beyond-mix", domain, len(members) - taken[domain])
    seen = sum(map(len, rows.values()))
    account = {
        "step": "mix",
        "seen": seen,
        "kept": seen - drops.total,
        "dropped": drops.to_plain(),
    }
    return {domain: rows[domain][: taken[domain]] for domain in sorted(taken)}, account


def _write(writer: DatasetWriter, table: pa.Table, tokens: Sequence[Tokens], rows: Rows) -> None:
    identifiers, sources = table["id"].to_pylist(), table["source"].to_pylist()
    lengths = pc.binary_length(table["text"]).to_pylist()
    for domain, members in rows.items():
        writer.write_domain(
            domain,
            (
                TokenizedDocument(
                    identifiers[row], sources[row], lengths[row], tokens[row].tolist()
                )
                for row in members
            ),
        )


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    domains = manifest["domains"]
    totals = {
        key: sum(entry[key] for entry in domains.values())
        for key in ("documents", "bytes", "tokens")
    }
    return {
        **totals,
        "domains": domains,
        "shares": shares({domain: entry["tokens"] for domain, entry in domains.items()}),
        "steps": manifest["steps"],
    }


def _check_not_empty(table: pa.Table, accounts: Sequence[Mapping[str, Any]]) -> None:
    if table.num_rows:
        return
    emptied = next((account for account in accounts if account["kept"] == 0), None)
    if emptied is None:
        raise InputError(
            "no documents to make a dataset of",
            expected="at least one document",
            fix="check the corpora",
        )
    reasons = ", ".join(emptied["dropped"])
    raise InputError(
        f"step {emptied['step']} drops all {emptied['seen']} documents it sees ({reasons})",
        expected="at least one document left",
        fix=f"loosen the settings of {emptied['step']}, or remove it from the recipe",
    )
