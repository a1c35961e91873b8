"""Making a dataset of documents beside `tokenizers`' own batch encoding, on all cores.

    python benchmarks/prepare_tokens.py CORPUS.parquet

CORPUS has a column `text`; the tokenizer is GPT-2's. The peer is `encode_batch`, and the quicker
`encode_batch_fast`, of all texts at once: nothing is read, kept or written in its time. Ours is all
of it: read the document table, encode, put documents in order, write shards, document table and
manifest. Each measurement is a fresh process; sides take turns, medians are printed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.dataset import build_dataset
from curricle.recipes.documents import write_documents
from curricle.recipes.given_tokenizer import given_tokenizer
from curricle.recipes.specs.recipe import Recipe, TokenizerSpec
from curricle.recipes.tokenizing import store_tokenizer

DOCUMENTS = "documents.parquet"
SIDES = ("encode_batch", "encode_batch_fast", "ours")


def prepare(corpus: Path, folder: Path) -> int:
    """Write document table and tokenizer; returns the texts' bytes."""
    texts = pq.read_table(corpus, columns=["text"])["text"].to_pylist()
    ids = [f"{number:09}" for number in range(len(texts))]
    same = ["all"] * len(texts)
    table = pa.table({"id": ids, "text": texts, "domain": same, "source": same})
    write_documents(folder / DOCUMENTS, table)
    store_tokenizer(given_tokenizer(TokenizerSpec(algorithm="gpt2")), folder)
    return sum(len(text.encode()) for text in texts)


def run(side: str, folder: Path) -> dict[str, float]:
    """Seconds, and the tokens as a check."""
    if side == "ours":
        with tempfile.TemporaryDirectory(dir=folder) as output:
            start = time.perf_counter()
            facts = build_dataset(Recipe(), folder / DOCUMENTS, [], folder, 0, Path(output))
            seconds = time.perf_counter() - start
        return {"seconds": seconds, "tokens": facts["tokens"] - facts["documents"]}
    texts = pq.read_table(folder / DOCUMENTS)["text"].to_pylist()
    encode = getattr(load_tokenizer(folder), side)
    start = time.perf_counter()
    encodings = encode(texts, add_special_tokens=False)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": sum(len(encoding) for encoding in encodings)}


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run(options.side, options.corpus)))
        return
    with tempfile.TemporaryDirectory() as name:
        size = prepare(options.corpus, Path(name))
        times: dict[str, list[float]] = {side: [] for side in SIDES}
        tokens = set()
        for _ in range(options.repeats):
            for side in SIDES:
                command = [sys.executable, __file__, name, "--side", side]
                found = json.loads(subprocess.check_output(command))
                times[side].append(found["seconds"])
                tokens.add(found["tokens"])
    assert len(tokens) == 1, tokens
    print("| work | s | MiB/s | ours |\n|---|---|---|---|")
    ours = statistics.median(times["ours"])
    for side, seconds in times.items():
        median = statistics.median(seconds)
        print(f"| {side} | {median:.2f} | {size / median / 2**20:.2f} | {median / ours:.1%} |")


if __name__ == "__main__":
    main()
