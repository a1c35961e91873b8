"""How long the orders of a large run take to build, and how much memory.

    python -P benchmarks/orders.py --samples 50000000

Each is a study's whole step in a process of its own: the random order, and curricula out of it and
of a file of scores, with their facts. The run reads as many samples as the dataset has, in seven
domains of unequal size, out of a pool of 70 % of them. The score is random. Peak memory is what the
process has of its own (resident set without mapped files, asked for every 10 ms from outside). The
random order, the scores and the result lie in mapped files, 8 bytes a sample each. Prints a
markdown table, or with `--json` a line of JSON for each.
"""

import argparse
import json
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from curricle.core.scores_file import SCORES
from curricle.core.token_dataset import MANIFEST
from curricle.recipes.specs.curricula import Precomputed
from curricle.tasks.curriculum_order import Arm, CurriculumOrderStep
from curricle.tasks.order import OrderStep, Pool, RandomOrderStep

SHARES = np.array([0.40, 0.20, 0.12, 0.10, 0.08, 0.06, 0.04])
ROWS_AT_ONCE = 1 << 20
STAGES = {"pacing": "stages", "stages": ({"tokens": 1}, {"tokens": 1, "top": 0.5})}
# Settings, and which arm of them is built.
ORDERS: dict[str, tuple[dict[str, Any], Arm]] = {
    "growing-pool": ({"pacing": "growing-pool"}, "curriculum"),
    "growing-pool, over all domains": ({"pacing": "growing-pool", "within": "all"}, "curriculum"),
    "growing-pool, at most 4 repeats": ({"pacing": "growing-pool", "max_repeats": 4}, "curriculum"),
    "growing-pool, reshuffled": ({"pacing": "growing-pool"}, "reshuffled"),
    "sorted": ({"pacing": "sorted"}, "curriculum"),
    "sorted, over all domains, anti": ({"pacing": "sorted", "within": "all"}, "anti"),
    "bucketed, over all domains": ({"pacing": "bucketed", "within": "all"}, "curriculum"),
    "v-shaped": ({"pacing": "v-shaped"}, "curriculum"),
    "v-shaped, over all domains": ({"pacing": "v-shaped", "within": "all"}, "curriculum"),
    "interleaved, over all domains": ({"pacing": "interleaved", "within": "all"}, "curriculum"),
    "warm-up, over all domains": ({"pacing": "warm-up", "within": "all"}, "curriculum"),
    "oversampled-v": ({"pacing": "oversampled-v"}, "curriculum"),
    "oversampled-v, anti": ({"pacing": "oversampled-v"}, "anti"),
    "stages": (STAGES, "curriculum"),
    "stages, with replacement": ({**STAGES, "drawing": "with-replacement"}, "curriculum"),
}
GIB = 2**30
INPUTS = ("dataset", "scores", "random")


def write_inputs(root: Path, samples: int) -> None:
    """A dataset whose tokens are never read, and its scores."""
    for name in INPUTS:
        (root / name).mkdir()
    counts = (SHARES * samples).astype(np.int64)
    counts[0] += samples - counts.sum()
    shards = []
    for index, count in enumerate(counts.tolist()):
        file = root / "dataset" / f"tokens-domain{index}-0.bin"
        file.touch()
        os.truncate(file, (count + 1) * 2)
        shards.append({"file": file.name, "domain": f"domain{index}", "tokens": count + 1})
    domains: dict[str, Any] = {shard["domain"]: {} for shard in shards}
    manifest = {"dtype": "<u2", "domains": domains, "shards": shards}
    (root / "dataset" / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    schema = pa.schema([("sample", pa.int64()), ("learnability", pa.float64())])
    draw = np.random.default_rng(0)
    with pq.ParquetWriter(root / "scores" / SCORES, schema) as file:
        for start in range(0, samples, ROWS_AT_ONCE):
            ids = np.arange(start, min(start + ROWS_AT_ONCE, samples))
            file.write_table(pa.table([ids, draw.random(len(ids))], schema=schema))


def build(name: str, samples: int, root: Path) -> float:
    """Build one order; returns the seconds that it took."""
    pool = Pool("target", sequence_length=1, holdout=0.3, seed=0)
    unused: Any = None
    random = RandomOrderStep(dataset=unused, pool=pool, count=samples, seed=0)
    step: OrderStep = random
    if name != "random":
        settings, arm = ORDERS[name]
        curriculum: Precomputed = TypeAdapter(Precomputed).validate_python(settings)
        step = CurriculumOrderStep(name, arm, curriculum, random, unused, batch_size=512)
    inputs = {"dataset": root / "dataset", "scores": root / "scores", "base": root / "random"}
    with tempfile.TemporaryDirectory(dir=root) as folder:
        started = time.perf_counter()
        step.build(unused, inputs, root / "random" if step is random else Path(folder))
        return time.perf_counter() - started


def in_a_process(work: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """What `work` returns, and the largest anonymous memory of its process, in bytes."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        status = Path("/proc", str(pool.apply(os.getpid)), "status")
        result, peak = pool.apply_async(work, arguments), 0
        while not result.ready():
            found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text(encoding="utf-8"))
            assert found is not None
            peak = max(peak, int(found[1]) * 1024)
            result.wait(0.01)
        return result.get(), peak


def measure(name: str, samples: int, root: Path) -> dict[str, Any]:
    """One row of the table."""
    seconds, peak = in_a_process(build, name, samples, root)
    return {
        "order": name,
        "samples": samples,
        "seconds": seconds,
        "peak GiB": peak / GIB,
        "bytes a sample": peak / samples,
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=50_000_000)
    parser.add_argument("--order", choices=sorted(ORDERS), action="append")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chosen = arguments.order or list(ORDERS)
    with tempfile.TemporaryDirectory() as folder:
        root, samples = Path(folder), arguments.samples
        in_a_process(write_inputs, root, samples)
        # The random order comes first: all others begin with it.
        for number, name in enumerate(["random", *chosen]):
            show(measure(name, samples, root), head=not number, as_json=arguments.json)


def show(row: dict[str, Any], *, head: bool, as_json: bool) -> None:
    """Print a row as soon as it is there."""
    if as_json:
        print(json.dumps(row), flush=True)
        return
    if head:
        print(f"| {' | '.join(row)} |\n{'|---' * len(row)}|")
    cells = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
