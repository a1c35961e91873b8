"""Rates of preparing a corpus, and from them what larger corpora would need.

    python benchmarks/scale.py CORPUS.parquet --terabytes 1 100 --price 0.05

CORPUS has the columns `text` and `domain`. Every step runs in this process with one thread, so that
its CPU time splits into what an engine would map (the shard functions) and what is left to the one
process that deals shards out, the driver. Everything in the tables follows from these two, from the
bytes of the documents, and from the sizes of the records that are shuffled:

A tokenizer for so much text is given, or trained on a sample: its training is left out of the plan.

    core-hours   = mapped seconds per GB x GB / 3600
    driver hours = driver seconds per GB x GB / 3600
    workers      = core-hours / driver hours: with more of them the driver is what is waited for
    hours        = 2 x driver hours with that many workers
    cost         = workers x hours x price of a core-hour
    shuffle      = 16 bytes x bands x documents (MinHash), 16 bytes x lines (their deduplication)
    memory       = bytes per document of the components step x documents
"""

import argparse
import json
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curricle.recipes.corpus import TRAIN, build_corpus
from curricle.recipes.dataset import build_dataset
from curricle.recipes.document_file import Documents
from curricle.recipes.engine import IN_PROCESS, Work
from curricle.recipes.measuring import measure
from curricle.recipes.near_duplicates import Search, find_clusters
from curricle.recipes.shuffle import RECORD
from curricle.recipes.specs.measurements import MinHashSignatures
from curricle.recipes.specs.recipe import Recipe, TokenizerSpec
from curricle.recipes.specs.sources import FilesSource
from curricle.recipes.specs.steps import MinHashDedup, Step
from curricle.recipes.steps import DOCUMENTS, run_step
from curricle.recipes.steps.deduplication import shape_of
from curricle.recipes.tokenizing import build_tokenizer

STEPS: list[dict[str, Any]] = [
    {"step": "exact-dedup"},
    {"step": "minhash-dedup"},
    {"step": "line-dedup"},
    {"step": "gopher-quality"},
    {"step": "gopher-repetition"},
    {"step": "c4"},
]
TRAINING = "train tokenizer"
# Small documents by which the memory of the components step is measured.
COUNTED = 200_000

Item = TypeVar("Item")
Value = TypeVar("Value")


class Timed:
    """An engine that works here and adds up the seconds of the shard functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        """The value of each item."""
        for item in items:
            start = time.process_time()
            value = function(item)
            self.seconds += time.process_time() - start
            yield value


class Rate(NamedTuple):
    """Seconds per GB (1e9 bytes of text) of the step."""

    step: str
    mapped: float
    driver: float


def timed(step: str, gigabytes: float, work: Callable[[Timed], Any]) -> Rate:
    """Run a step and split its time."""
    engine, start = Timed(), time.process_time()
    work(engine)
    whole = time.process_time() - start
    return Rate(step, engine.seconds / gigabytes, (whole - engine.seconds) / gigabytes)


def rates(corpus: Path, folder: Path) -> tuple[list[Rate], float, dict[str, int]]:
    """Every step of a long recipe; also the GB that it began with, and its documents and lines."""
    source = FilesSource(source="files", path=str(corpus), domain_column="domain")
    places = {name: folder / name for name in ("corpus", "tokenizer", "dataset")}
    for place in places.values():
        place.mkdir()
    texts = _texts(corpus)
    size = sum(len(text.encode()) for text in texts) / 1e9
    lines = sum(len(line.split()) > 3 for text in texts for line in text.split("\n"))
    counted = {"documents": len(texts), "lines": lines}
    found = [
        timed(
            "read and split",
            size,
            lambda engine: build_corpus({"c": source}, 0.02, 0, places["corpus"], engine),
        )
    ]
    last = places["corpus"] / TRAIN
    tokenizer = TokenizerSpec(vocabulary_size=8192)
    found.append(
        timed(
            TRAINING,
            size,
            lambda _: build_tokenizer(tokenizer, places["corpus"] / TRAIN, places["tokenizer"]),
        )
    )
    for number, settings in enumerate(STEPS):
        step: Step = Recipe.model_validate({"steps": (settings,)}).steps[0]
        place = folder / f"step-{number}"
        (place / "measured").mkdir(parents=True)
        found.append(_time_step(step, last, place))
        last = place / DOCUMENTS
    packed = _size(last)
    found.append(
        timed(
            "tokenize and pack",
            packed,
            lambda engine: build_dataset(
                Recipe(), last, [], places["tokenizer"], 0, places["dataset"], engine=engine
            ),
        )
    )
    return found, size, counted


def _time_step(step: Step, documents: Path, place: Path) -> Rate:
    table = Documents(documents)

    def work(engine: Timed) -> None:
        if step.measurement is not None:
            measure(step.measurement, table, place / "measured", engine)
        run_step(step, table, place / "measured", 0, place, engine=engine)

    return timed(step.step, _size(documents), work)


def _texts(corpus: Path) -> list[str]:
    table = pq.read_table(corpus, columns=["text"])
    return list(table["text"].to_pylist())


def _size(documents: Path) -> float:
    return (
        sum(len(text.encode()) for b in Documents(documents).batches(["text"]) for text in b.texts)
        / 1e9
    )


def bytes_per_document(folder: Path) -> float:
    """Peak memory of the components step in the driver, for each document."""
    ids = [f"{number:09}" for number in range(COUNTED)]
    texts = [f"{number} {number // 2}" for number in range(COUNTED)]
    same = ["x"] * COUNTED
    table = pa.table({"id": ids, "text": texts, "domain": same, "source": same})
    pq.write_table(table, folder / DOCUMENTS, row_group_size=2_000)
    documents = Documents(folder / DOCUMENTS)
    measure(MinHashSignatures(ngram=1, permutations=32), documents, folder)
    step = MinHashDedup(step="minhash-dedup", permutations=32)
    (folder / "scratch").mkdir()
    groups = np.zeros(COUNTED, dtype=np.int64)
    search = Search(shape_of(step), 0.9, None)
    tracemalloc.start()
    find_clusters(search, documents, folder, groups, Work(IN_PROCESS, folder / "scratch"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / COUNTED


def plan(
    found: Sequence[Rate], terabytes: float, per_gigabyte: dict[str, float], price: float
) -> dict[str, float]:
    """What that much text needs; see the top of this file."""
    gigabytes = terabytes * 1e3
    counted = [rate for rate in found if rate.step != TRAINING]
    core_hours = sum(rate.mapped for rate in counted) * gigabytes / 3600
    driver_hours = sum(rate.driver for rate in counted) * gigabytes / 3600
    workers = core_hours / driver_hours
    documents = per_gigabyte["documents"] * gigabytes
    step = MinHashDedup(step="minhash-dedup")
    return {
        "TB": terabytes,
        "documents, millions": documents / 1e6,
        "core-hours": core_hours,
        "driver hours": driver_hours,
        "workers": workers,
        "hours": 2 * driver_hours,
        "cost": workers * 2 * driver_hours * price,
        "shuffle of MinHash, GB": documents * shape_of(step).bands * RECORD.itemsize / 1e9,
        "shuffle of lines, GB": per_gigabyte["lines"] * gigabytes * RECORD.itemsize / 1e9,
        "memory of components, GB": documents * per_gigabyte["memory"] / 1e9,
    }


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--terabytes", type=float, nargs="+", default=[1.0, 100.0])
    parser.add_argument("--price", type=float, default=0.05, help="of a core-hour, in any currency")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as name:
        found, size, counted = rates(options.corpus, Path(name))
        (Path(name) / "memory").mkdir()
        memory = bytes_per_document(Path(name) / "memory")
    print("| step | mapped, s/GB | driver, s/GB |\n|---|---|---|")
    for rate in found:
        print(f"| {rate.step} | {rate.mapped:.1f} | {rate.driver:.1f} |")
    per_gigabyte = {name: count / size for name, count in counted.items()} | {"memory": memory}
    print(json.dumps({name: round(value, 1) for name, value in per_gigabyte.items()}))
    for terabytes in options.terabytes:
        needs = plan(found, terabytes, per_gigabyte, options.price)
        print(json.dumps({name: round(value, 1) for name, value in needs.items()}))


if __name__ == "__main__":
    main()
