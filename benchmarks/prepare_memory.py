"""Peak memory of `curricle prepare` on a corpus, and on one made several times larger.

    python benchmarks/prepare_memory.py CORPUS.parquet --folder DIR --copies 1
    python benchmarks/prepare_memory.py CORPUS.parquet --folder DIR --copies 10

CORPUS has the columns `text` and `domain`. The larger corpus is the corpus and variants of it with
the words of each document in another random order, so that no document is a copy of another one's.
A recipe of five steps (deduplication and filters) and one without are prepared with a tokenizer
trained on the corpus. Memory is the resident set summed over the command and all its descendants,
looked at every 50 ms: with the Prefect server that the command starts, and without.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

PROGRAM = Path(sys.executable).parent / "curricle"
SECONDS_BETWEEN_LOOKS = 0.05
SERVER = b"prefect.server"
STUDY = """\
name: memory
store: {store}
corpora: {{texts: {{source: files, path: {texts}, domain_column: domain}}}}
tokenizer: {{vocabulary_size: 4096, sequence_length: 128}}
recipes:
  untouched: {{}}
  cleaned:
    steps:
      - {{step: exact-dedup}}
      - {{step: minhash-dedup}}
      - {{step: line-dedup}}
      - {{step: gopher-quality}}
      - {{step: gopher-repetition}}
proxy: {{num_layers: 1, width: 16, num_heads: 1, tokens: 4096, learning_rates: [1e-3]}}
target: {{num_layers: 1, width: 16, num_heads: 1, tokens: 4096, learning_rate: 1e-3, confirm: 2}}
scoring: {{tokens: 100000, learning_rate: 1e-3}}
evaluation: {{tokens_per_domain: 512, multiple_choice: null, sharpness: null}}
"""


def write_corpus(corpus: Path, copies: int, folder: Path) -> int:
    """Write each variant as JSON Lines, 2,000 documents a file; returns the bytes of text."""
    size = 0
    for copy in range(copies):
        draw = np.random.default_rng(copy)
        for number, batch in enumerate(pq.ParquetFile(corpus).iter_batches(2_000)):
            lines = []
            for text, domain in zip(
                *(batch[name].to_pylist() for name in ("text", "domain")), strict=True
            ):
                varied = text if copy == 0 else permuted(text, draw)
                size += len(varied.encode())
                lines.append(json.dumps({"text": varied, "domain": domain}) + "\n")
            (folder / f"{copy:03}-{number:03}.jsonl").write_text("".join(lines), encoding="utf-8")
    return size


def permuted(text: str, draw: np.random.Generator) -> str:
    """The text with its words in random order; spaces and line ends stay where they are."""
    lines = [line.split(" ") for line in text.split("\n")]
    words = [word for line in lines for word in line]
    drawn = iter([words[index] for index in draw.permutation(len(words))])
    return "\n".join(" ".join(next(drawn) for _ in line) for line in lines)


def resident(process: int) -> dict[str, int]:
    """Bytes resident in a process and all below it: all of them, and without Prefect's server."""
    totals = {"all": 0, "without-server": 0}
    for member in family(process):
        try:
            pages = int(Path(f"/proc/{member}/statm").read_text().split()[1])
            is_server = SERVER in Path(f"/proc/{member}/cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        totals["all"] += pages * os.sysconf("SC_PAGE_SIZE")
        totals["without-server"] += 0 if is_server else pages * os.sysconf("SC_PAGE_SIZE")
    return totals


def family(process: int) -> Iterator[int]:
    """A process and its descendants."""
    yield process
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = [
            child for thread in threads for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def measure(command: list[str]) -> dict[str, float]:
    """Run a command to its end; seconds, and peaks in MiB."""
    start, peaks = time.perf_counter(), {"all": 0, "without-server": 0}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peaks = {name: max(peaks[name], size) for name, size in resident(process.pid).items()}
        time.sleep(SECONDS_BETWEEN_LOOKS)
    assert process.returncode == 0
    mebibytes = {name: size / (1 << 20) for name, size in peaks.items()}
    return {"seconds": time.perf_counter() - start, **mebibytes}


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--folder", type=Path, required=True, help="for corpus and store")
    parser.add_argument("--set", action="append", default=[], help="as `curricle prepare` has it")
    options = parser.parse_args()
    texts = options.folder / f"texts-{options.copies}"
    study = options.folder / f"study-{options.copies}.yaml"
    if not study.exists():
        texts.mkdir(parents=True)
        write_corpus(options.corpus, options.copies, texts)
        store = options.folder / f"store-{options.copies}"
        study.write_text(STUDY.format(store=store, texts=texts), encoding="utf-8")
    size = sum(file.stat().st_size for file in texts.iterdir()) / (1 << 20)
    overrides = [part for each in options.set for part in ("--set", each)]
    found = measure([str(PROGRAM), "prepare", str(study), *overrides])
    print(
        f"{options.copies} copies, {size:.0f} MiB of JSON Lines: {found['seconds']:.0f} s, peak "
        f"{found['all']:.0f} MiB, without Prefect's server {found['without-server']:.0f} MiB"
    )


if __name__ == "__main__":
    main()
