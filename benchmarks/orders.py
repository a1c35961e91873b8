"""How long the order of a large run takes to build, and how much memory.

    python benchmarks/orders.py --samples 50000000

Each kind of pacing in a process of its own: a run that reads as many samples as the dataset has, in
seven domains of unequal size, out of a pool of 70 % of them. The score is random. Counted are the
random order, the curriculum and writing `order.npy`; peak memory is the process's own (resident set
without mapped files, sampled every 10 ms). Prints a markdown table, or JSON with `--json`.
"""

import argparse
import json
import multiprocessing
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from curricle.core.order_file import blank_order, read_order, write_order
from curricle.recipes.ordering import SampleTable, curriculum_order, partition, random_order
from curricle.recipes.specs.curricula import Precomputed

SHARES = np.array([0.40, 0.20, 0.12, 0.10, 0.08, 0.06, 0.04])
PACINGS: dict[str, dict[str, Any]] = {
    "growing-pool": {},
    "growing-pool over all domains": {"pacing": "growing-pool", "within": "all"},
    "sorted": {},
    "v-shaped": {},
    "oversampled-v": {},
    "stages": {"stages": ({"tokens": 1}, {"tokens": 1, "top": 0.5})},
}
GIB = 2**30


class PeakMemory:
    """The largest anonymous memory of this process while the block runs, in bytes."""

    def __enter__(self) -> "PeakMemory":
        self.peak, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            found = re.search(r"RssAnon:\s+(\d+) kB", status)
            assert found is not None
            self.peak = max(self.peak, int(found[1]) * 1024)


def build(name: str, samples: int) -> dict[str, Any]:
    """Build one order and tell what it took."""
    settings = {"pacing": name, **PACINGS[name]}
    curriculum: Precomputed = TypeAdapter(Precomputed).validate_python(settings)
    counts = (SHARES * samples).astype(np.int64)
    counts[0] += samples - counts.sum()
    domains = np.repeat(np.arange(len(SHARES), dtype=np.int16), counts)
    scores = np.random.default_rng(0).random(samples)
    names = tuple(f"domain{index}" for index in range(len(SHARES)))
    with PeakMemory() as memory, tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        pool = partition(samples, 0.3, 0, "target")
        in_pool = np.zeros(samples, dtype=bool)
        in_pool[pool] = True
        write_order(Path(folder), random_order(pool, samples, 0))
        del pool
        base = read_order(Path(folder), samples, mapped=True)
        out = Path(folder, "curriculum")
        out.mkdir()
        table = SampleTable(scores, domains, names, in_pool)
        order = curriculum_order(
            curriculum, table, base, batch_size=512, seed=0, out=blank_order(out, samples)
        )
        write_order(out, order)
        seconds = time.perf_counter() - started
    return {
        "pacing": name,
        "samples": samples,
        "seconds": seconds,
        "peak GiB": memory.peak / GIB,
        "bytes a sample": memory.peak / samples,
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=50_000_000)
    parser.add_argument("--pacing", choices=sorted(PACINGS), action="append")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chosen = arguments.pacing or list(PACINGS)
    rows = []
    for name in chosen:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(build, (name, arguments.samples)))
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"| {' | '.join(rows[0])} |\n{'|---' * len(rows[0])}|")
    for row in rows:
        cells = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
