"""Deduplication and filters beside datatrove's and rensa's: time, decisions, recall.

    python benchmarks/prepare.py CORPUS.parquet --peer-python /path/to/peers/bin/python

CORPUS has a column `text`. The peers live in an environment of their own: `pip install datatrove
spacy rensa pyarrow regex nltk tldextract tokenizers fasttext-numpy2-wheel "xxhash<4"`. Every
measurement is a fresh process on one core with one thread; the two sides take turns. Medians of the
processor's time, which other work on the machine hardly changes, and of the clock's are printed as
a Markdown table, below it the rows of CORPUS on which decisions differ. Times leave out
imports, reading and writing of the corpus. `--every N` takes every N-th document alone. `--recall`
tells how complete the MinHash pairs are, against the exact similarity of all pairs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curricle.recipes.codepoints import Indices
from curricle.recipes.document_file import Documents
from curricle.recipes.dropped import DropLog
from curricle.recipes.engine import IN_PROCESS, Work
from curricle.recipes.jaccard import incidence
from curricle.recipes.measuring import measure
from curricle.recipes.shingles import shingle
from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.specs.steps import MinHashDedup, Step
from curricle.recipes.steps import transform_of
from curricle.recipes.steps.deduplication import clusters_of

PEERS = Path(__file__).with_name("prepare_peers.py")
MINHASH = {"step": "minhash-dedup", "bands": 14, "rows": 8, "ngram": 5, "threshold": 0.7}
COMPARISONS = {
    "MinHash, datatrove": ("minhash-dedup", "minhash-datatrove"),
    "MinHash, rensa with strings": ("minhash-dedup", "minhash-rensa"),
    "Gopher quality": ("gopher-quality", "gopher-quality"),
    "Gopher repetition": ("gopher-repetition", "gopher-repetition"),
    "C4": ("c4", "c4"),
    "FineWeb": ("fineweb", "fineweb"),
}
FILTERS = ("Gopher quality", "Gopher repetition", "C4", "FineWeb")
ROWS_PER_BLOCK = 500


def documents_of(corpus: Path) -> pa.Table:
    """The corpus as a document table."""
    texts = pq.read_table(corpus, columns=["text"])["text"]
    ids = pa.array([f"{number:09}" for number in range(len(texts))])
    same = pa.array(["all"] * len(texts))
    return pa.table({"id": ids, "text": texts, "domain": same, "source": same})


def run_ours(name: str, corpus: Path, output: Path) -> None:
    """Measure and apply one step; writes the time and which documents stay."""
    settings = MINHASH if name == "minhash-dedup" else {"step": name}
    step: Step = Recipe.model_validate_json(json.dumps({"steps": [settings]})).steps[0]
    table = documents_of(corpus)
    # Tables of characters are built once a process.
    kept_by(step, table.slice(0, 1))
    clocks = (time.process_time, time.perf_counter)
    start = [clock() for clock in clocks]
    kept = kept_by(step, table)
    seconds = [clock() - before for clock, before in zip(clocks, start, strict=True)]
    is_kept = np.isin(table["id"].to_pylist(), list(kept)).tolist()
    output.write_text(json.dumps({"seconds": seconds, "kept": is_kept}), encoding="utf-8")


def kept_by(step: Step, table: pa.Table) -> set[str]:
    """Ids of the documents that stay."""
    documents = Documents(table)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if step.measurement is not None:
            measure(step.measurement, documents, folder)
        work = Work(IN_PROCESS, folder)
        transform, log = transform_of(step, documents, folder, 0, work), DropLog()
        return {
            identifier
            for batch in documents.batches()
            for identifier in transform(batch, log)["id"].to_pylist()
        }


def run_side(command: list[str]) -> dict[str, Any]:
    """Run one side on one core and read what it wrote."""
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "RAYON", "ARROW")}
    single["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        subprocess.run(
            [*command, str(output)], check=True, env={**os.environ, **single}, preexec_fn=_one_core
        )
        return dict(json.loads(output.read_text(encoding="utf-8")))


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def compare(corpus: Path, peer_python: str, repeats: int, chosen: list[str]) -> Iterator[Any]:
    """Each comparison: name, medians of peer and ours (processor and clock), equal decisions."""
    for name in chosen:
        ours, peer = COMPARISONS[name]
        times: dict[str, list[list[float]]] = {"peer": [], "ours": []}
        kept: dict[str, list[bool]] = {}
        for _ in range(repeats):
            for side, command in (
                ("ours", [sys.executable, __file__, str(corpus), "--side", ours, "--output"]),
                ("peer", [peer_python, str(PEERS), peer, str(corpus)]),
            ):
                result = run_side(command)
                times[side].append(result["seconds"])
                kept[side] = result["kept"]
        medians = {side: np.median(each, axis=0) for side, each in times.items()}
        differ = np.flatnonzero(np.not_equal(kept["ours"], kept["peer"])).tolist()
        same = 1 - len(differ) / len(kept["ours"])
        ratio = medians["peer"] / medians["ours"]
        yield {"name": name, **medians, "ratio": ratio, "same": same, "differ": differ}


def close_pairs(texts: list[str], ngram: int, least: float) -> tuple[Indices, npt.NDArray[Any]]:
    """All pairs of documents with an exact similarity of at least `least`, by brute force."""
    sets = incidence(shingle(texts, ngram))
    sizes = np.diff(sets.indptr)
    shared = sets[:, np.flatnonzero(np.bincount(sets.indices) > 1)]
    transposed = shared.T.tocsr()
    pairs, similarities = [np.empty((0, 2), np.int64)], [np.empty(0)]
    for start in range(0, len(texts), ROWS_PER_BLOCK):
        block = (shared[start : start + ROWS_PER_BLOCK] @ transposed).tocoo()
        left, right = block.row + start, block.col
        similarity = block.data / (sizes[left] + sizes[right] - block.data)
        close = (left < right) & (similarity >= least)
        pairs.append(np.stack([left[close], right[close]], axis=1))
        similarities.append(similarity[close])
    return np.concatenate(pairs), np.concatenate(similarities)


def recall(corpus: Path) -> Iterator[str]:
    """How many of the pairs that exist are in one cluster, and how alike those are that go."""
    table = documents_of(corpus)
    step: Step = Recipe.model_validate_json(json.dumps({"steps": [MINHASH]})).steps[0]
    documents = Documents(table)
    with tempfile.TemporaryDirectory() as name:
        assert isinstance(step, MinHashDedup)
        measure(step.measurement, documents, Path(name))
        work = Work(IN_PROCESS, Path(name))
        clusters = clusters_of(step, documents, Path(name), work)
    pairs, similarity = close_pairs(table["text"].to_pylist(), 5, 0.7)
    together = clusters.labels[pairs[:, 0]] == clusters.labels[pairs[:, 1]]
    for least in (0.9, 0.8, 0.7):
        found = together[similarity >= least]
        yield f"pairs with Jaccard >= {least}: {len(found)}, together {np.mean(found):.4f}"
    members = clusters.similarity[~np.isnan(clusters.similarity)]
    yield f"{len(members)} documents in clusters, each at least {members.min():.3f} like another"


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--recall", action="store_true")
    parser.add_argument("--only", nargs="+", default=list(COMPARISONS), choices=list(COMPARISONS))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_ours(options.side, options.corpus, options.output)
        return
    print(f"{platform.processor() or platform.machine()}, one core; {options.corpus.name}\n")
    if options.recall:
        print("\n".join(recall(options.corpus)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / options.corpus.name
        table = pq.read_table(options.corpus, columns=["text"])
        pq.write_table(table.take(np.arange(0, len(table), options.every)), corpus)
        print_table(compare(corpus, options.peer_python, options.repeats, options.only))


def print_table(rows: Iterator[dict[str, Any]]) -> None:
    """Each row when it is there, the sum of all filters, and where decisions differ."""
    print("| work | peer, CPU s | ours, CPU s | ratio | ratio by the clock | same decision |")
    print("|---|---|---|---|---|---|", flush=True)
    seen = []
    for row in rows:
        seen.append(row)
        print(line(row), flush=True)
    filters = [row for row in seen if row["name"] in FILTERS]
    if len(filters) == len(FILTERS):
        total = {side: sum(row[side] for row in filters) for side in ("peer", "ours")}
        ratio = total["peer"] / total["ours"]
        print(line({"name": "all filters", **total, "ratio": ratio, "same": None}))
    for row in filters:
        print(f"{row['name']} differs on rows {row['differ']}")


def line(row: dict[str, Any]) -> str:
    """One row of the table; rensa decides by bands alone, which is another question."""
    same = "" if row["same"] is None or "MinHash" in row["name"] else f"{row['same']:.2%}"
    (peer, _), (ours, _), (ratio, by_clock) = (row[name] for name in ("peer", "ours", "ratio"))
    return f"| {row['name']} | {peer:.2f} | {ours:.2f} | {ratio:.1f}x | {by_clock:.1f}x | {same} |"


if __name__ == "__main__":
    main()
