"""From the documents that a recipe's steps left to a dataset: tokens, mix, shards."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from curricle.core.errors import InputError
from curricle.core.token_dataset import DatasetWriter, TokenizedDocument
from curricle.core.tokenizer_file import end_of_text_id, load_tokenizer, vocabulary_size
from curricle.recipes.document_file import Documents
from curricle.recipes.documents import Drops
from curricle.recipes.engine import IN_PROCESS, Engine
from curricle.recipes.mixing import Portion, portions, shares
from curricle.recipes.specs.mix import Mix
from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.token_spool import TokenSpool, tokenize
from curricle.recipes.tokenizing import decode, tokenizer_digest

# Rows of a document table, by domain, in reading order.
Rows = dict[str, npt.NDArray[np.int64]]


def build_dataset(
    recipe: Recipe,
    documents: Path,
    accounts: Sequence[Mapping[str, Any]],
    tokenizer: Path,
    seed: int,
    folder: Path,
    library: Path | None = None,
    engine: Engine = IN_PROCESS,
) -> dict[str, Any]:
    """Write the dataset that `recipe` makes of its documents; returns the manifest's counts.

    `documents` is the table that the recipe's steps left, `accounts` say what they did, `library`
    holds tokens of texts that other recipes have too (`token_library.py`).
    `recipe.order` isn't applied here: it is an order of the dataset's samples. Within a domain,
    documents stand in the order of a seeded hash of their ids, which is also the order in which a
    mix takes them. Raises InputError if no documents are left, or a mix can't be had of them.
    """
    loaded, accounts = load_tokenizer(tokenizer), list(accounts)
    writer = DatasetWriter(
        folder, vocabulary_size=vocabulary_size(loaded), end_of_text=end_of_text_id(loaded)
    )
    with tempfile.TemporaryFile(dir=folder) as scratch:
        spool = tokenize(Documents(documents), tokenizer, scratch, library, engine)
        if not len(spool):
            raise InputError(
                "no documents to make a dataset of",
                expected="at least one document",
                fix="check the corpora",
            )
        rows, cuts = _reading_order(spool, seed), dict.fromkeys(spool.domains, None)
        if recipe.mix:
            taken = _portions(rows, spool, recipe.mix)
            accounts.append(_account(rows, taken))
            rows = {name: np.resize(rows[name], taken[name].documents) for name in sorted(taken)}
            cuts = {name: portion.cut for name, portion in taken.items()}
        for domain, members in rows.items():
            writer.write_domain(domain, _documents(spool, members, cuts[domain], loaded))
    manifest = writer.finish(tokenizer=tokenizer_digest(tokenizer), steps=accounts)
    return _facts(manifest)


def _reading_order(spool: TokenSpool, seed: int) -> Rows:
    """Rows of each domain in the order of a seeded hash of the document's id."""
    places = np.array([_place(name.as_py(), seed) for name in spool.documents["id"]], np.uint64)
    domains = spool.domain_codes()
    return {
        name: members[np.argsort(places[members], kind="stable")]
        for code, name in enumerate(spool.domains)
        for members in [np.flatnonzero(domains == code)]
    }


def _place(identifier: str, seed: int) -> int:
    digest = hashlib.sha256(f"{seed}/reading\0{identifier}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _portions(rows: Rows, spool: TokenSpool, mix: Mix) -> dict[str, Portion]:
    # The end-of-text token counts: it is part of what a share of the dataset's tokens means.
    counts = {domain: spool.lengths[members] + 1 for domain, members in rows.items()}
    return portions(counts, mix)


def _account(rows: Rows, taken: Mapping[str, Portion]) -> dict[str, Any]:
    """What a mix took, in the form of a step's account."""
    drops, added = Drops(), 0
    for domain, members in rows.items():
        if domain not in taken:
            drops.add("not-in-mix", domain, len(members))
            continue
        surplus = taken[domain].documents - len(members)
        added += max(surplus, 0)
        if surplus < 0:
            drops.add("beyond-mix", domain, -surplus)
    seen = sum(map(len, rows.values()))
    account = {
        "step": "mix",
        "seen": seen,
        "kept": seen - drops.total,
        "dropped": drops.to_plain(),
    }
    if added:
        account["added"] = added
    if cut := {domain: 1 for domain, portion in sorted(taken.items()) if portion.cut is not None}:
        account["changed"] = {"cut-at-budget": cut}
    return account


def _documents(
    spool: TokenSpool, members: npt.NDArray[np.int64], cut: int | None, tokenizer: Tokenizer
) -> Iterator[TokenizedDocument]:
    """The documents of one domain; of the last one `cut` tokens, its end-of-text included."""
    identifiers, sources = spool.documents["id"], spool.documents["source"]
    for position, row in enumerate(members.tolist()):
        tokens, size = spool.read(row), int(spool.bytes[row])
        if cut is not None and position == len(members) - 1:
            tokens = tokens[: cut - 1]
            size = len(decode(tokenizer, tokens).encode())
        yield TokenizedDocument(identifiers[row].as_py(), sources[row].as_py(), size, tokens)


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
