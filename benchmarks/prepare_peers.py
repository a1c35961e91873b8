"""What `prepare.py` runs with the peers' own Python: datatrove's filters and MinHash, and rensa.

    PEER-PYTHON benchmarks/prepare_peers.py TASK CORPUS OUTPUT

Writes `{"seconds": [processor, clock], "kept": [true, false, …]}`: the time without imports,
reading of the corpus and loading of tokenizers, and for each document whether it stays. Nothing of
curricle is imported.
"""

import importlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILTERS = {
    "gopher-quality": "GopherQualityFilter",
    "gopher-repetition": "GopherRepetitionFilter",
    "c4": "C4QualityFilter",
    "fineweb": "FineWebQualityFilter",
}
NGRAM, BANDS, ROWS = 5, 14, 8


Seconds = list[float]


class Stopwatch:
    """Seconds since it was made, by the processor's time and by the clock."""

    _clocks = (time.process_time, time.perf_counter)

    def __init__(self) -> None:
        self._start = [clock() for clock in self._clocks]

    def read(self) -> Seconds:
        """The seconds so far."""
        return [clock() - start for clock, start in zip(self._clocks, self._start, strict=True)]


def filter_with(name: str, texts: list[str]) -> tuple[Seconds, list[bool]]:
    """One of datatrove's filters, document by document."""
    document = importlib.import_module("datatrove.data").Document
    text_tools = importlib.import_module("datatrove.utils.text")
    filters = importlib.import_module("datatrove.pipeline.filters")
    chosen = getattr(filters, FILTERS[name])()
    text_tools.split_into_words("Load the tokenizer.")
    documents = [document(text=text, id=str(index)) for index, text in enumerate(texts)]
    watch = Stopwatch()
    results = [chosen.filter(one) for one in documents]
    seconds = watch.read()
    return seconds, [result is True for result in results]


def minhash_datatrove(texts: list[str]) -> tuple[Seconds, list[bool]]:
    """Run datatrove's four stages of MinHash deduplication, one after the other."""
    document = importlib.import_module("datatrove.data").Document
    dedup: Any = importlib.import_module("datatrove.pipeline.dedup.minhash")
    importlib.import_module("loguru").logger.remove()
    config = dedup.MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS)
    documents = [document(text=text, id=str(index)) for index, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        stages = [f"{folder}/{name}" for name in ("signatures", "buckets", "remove")]
        sign = dedup.MinhashDedupSignature(stages[0], config)
        sign.word_tokenizer.word_tokenize("Load the tokenizer.")
        watch = Stopwatch()
        sign.run(documents, 0, 1)
        for bucket in range(BANDS):
            dedup.MinhashDedupBuckets(stages[0], stages[1], config=config).run(None, bucket, BANDS)
        dedup.MinhashDedupCluster(stages[1], stages[2], config=config).run(None, 0, 1)
        kept = {one.id for one in dedup.MinhashDedupFilter(stages[2]).run(documents, 0, 1)}
        seconds = watch.read()
    return seconds, [str(index) in kept for index in range(len(texts))]


def minhash_rensa(texts: list[str]) -> tuple[Seconds, list[bool]]:
    """rensa, fed with shingles as strings: signatures, then which documents share a band."""
    rensa: Any = importlib.import_module("rensa")
    words = re.compile(r"\w+")
    watch = Stopwatch()
    shingles = []
    for text in texts:
        found = words.findall(text.lower())
        last = max(len(found) - NGRAM + 1, 1)
        shingles.append([" ".join(found[first : first + NGRAM]) for first in range(last)])
    matrix = rensa.RMinHash.digest_matrix_from_token_sets(shingles, BANDS * ROWS, 1)
    index = rensa.RMinHashLSH(threshold=0.7, num_perm=BANDS * ROWS, num_bands=BANDS)
    flags = index.query_duplicate_flags_matrix_one_shot(matrix)
    return watch.read(), [not flag for flag in flags]


TASKS: dict[str, Callable[[list[str]], tuple[Seconds, list[bool]]]] = {
    "minhash-datatrove": minhash_datatrove,
    "minhash-rensa": minhash_rensa,
}


def main(task: str, corpus: str, output: str) -> None:
    """Run one task and write its time and decisions."""
    parquet: Any = importlib.import_module("pyarrow.parquet")
    texts = parquet.read_table(corpus, columns=["text"])["text"].to_pylist()
    run = TASKS.get(task) or (lambda given: filter_with(task, given))
    seconds, kept = run(texts)
    Path(output).write_text(json.dumps({"seconds": seconds, "kept": kept}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
