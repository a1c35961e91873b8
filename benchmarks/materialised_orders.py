"""Reading a random order from a store: streamed as a materialised one, or sample by sample.

    python benchmarks/materialised_orders.py --store s3://bucket/prefix

Writes a dataset of random tokens and a random order below the store, materialised too, and reads
the order batch by batch, as a training job would, in four ways: streamed; one request for the range
of each sample, a batch's side by side; the dataset downloaded and then looked up; looked up in a
copy that is there already. Nothing is trained. Prints a markdown table, or JSON with `--json`: each
way's seconds to the first batch and to the last, and tokens per second. What it wrote is deleted.
"""

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from curricle.core.materialised_order import MaterialisedReading, materialise
from curricle.core.order_file import batch_at, write_order
from curricle.core.reading import DatasetReading
from curricle.core.remote import open_filesystem
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument

VOCABULARY = 50_257
BATCH = 64
FOLDERS = ("dataset", "order", "materialised")

Batches = Iterator[np.ndarray[Any, Any]]


def prepare(folder: Path, megabytes: int, length: int) -> float:
    """Write dataset and order below `folder`; seconds that materialising took."""
    for name in FOLDERS:
        (folder / name).mkdir()
    tokens = np.random.default_rng(0).integers(1, VOCABULARY, megabytes * 500_000)
    writer = DatasetWriter(folder / "dataset", vocabulary_size=VOCABULARY, end_of_text=0)
    writer.write_domain("a", [TokenizedDocument("a", "made up", 0, tokens)])
    writer.finish()
    dataset = TokenDataset(folder / "dataset", length)
    write_order(folder / "order", np.random.default_rng(1).permutation(len(dataset)))
    started = time.perf_counter()
    materialise(dataset, folder / "order", folder / "materialised")
    return time.perf_counter() - started


def streamed(folder: Path, address: str, length: int) -> Batches:
    """The materialised order."""
    reading = MaterialisedReading(f"{address}/materialised", folder / "order", length)
    for start in range(0, len(reading.order), BATCH):
        yield reading.read(np.arange(start, min(start + BATCH, len(reading.order))))


def by_ranges(folder: Path, address: str, length: int) -> Batches:
    """A request for each sample."""
    files, path = open_filesystem(address)
    reading = DatasetReading(folder / "dataset", folder / "order", length)
    shard = f"{path}/dataset/tokens-a-00000.bin"
    for step in range(-(-len(reading.order) // BATCH)):
        starts = batch_at(reading.order, step, BATCH) * length * 2
        ends = starts + (length + 1) * 2
        found = files.cat_ranges([shard] * len(starts), starts.tolist(), ends.tolist())
        yield np.frombuffer(b"".join(found), "<u2").reshape(len(starts), -1).astype(np.int64)


def downloaded(folder: Path, address: str, length: int) -> Batches:
    """The whole dataset first."""
    files, path = open_filesystem(address)
    with tempfile.TemporaryDirectory() as copy:
        for name in ("manifest.json", "tokens-a-00000.bin"):
            files.get_file(f"{path}/dataset/{name}", f"{copy}/{name}")
        yield from looked_up(folder, address, length, Path(copy))


def looked_up(folder: Path, address: str, length: int, copy: Path | None = None) -> Batches:
    """A local copy."""
    del address
    reading = DatasetReading(copy or folder / "dataset", folder / "order", length)
    for start in range(0, len(reading.order), BATCH):
        yield reading.read(np.arange(start, min(start + BATCH, len(reading.order))))


WAYS: dict[str, Callable[[Path, str, int], Batches]] = {
    "streamed": streamed,
    "a request a sample": by_ranges,
    "downloaded, then looked up": downloaded,
    "looked up in a local copy": looked_up,
}


def measure(name: str, batches: Batches) -> dict[str, Any]:
    """Read everything; a checksum tells that each way reads the same."""
    started = time.perf_counter()
    first, tokens, content = 0.0, 0, 0
    for number, batch in enumerate(batches):
        first = first or time.perf_counter() - started
        tokens += batch[:, 1:].size
        content += int(batch.sum()) * (number + 1)
    seconds = time.perf_counter() - started
    return {
        "way": name,
        "first batch (s)": first,
        "all (s)": seconds,
        "tokens/s": tokens / seconds,
        "checksum": content,
    }


def run(store: str, megabytes: int, length: int) -> list[dict[str, Any]]:
    """All ways, on a dataset of so many megabytes."""
    address = f"{store.rstrip('/')}/{uuid.uuid4().hex}"
    files, path = open_filesystem(address)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = prepare(folder, megabytes, length)
        print(f"materialised {megabytes} MB in {seconds:.1f} s")
        try:
            for role in FOLDERS:
                files.put(f"{folder}/{role}", f"{path}/{role}", recursive=True)
            rows = [measure(way, read(folder, address, length)) for way, read in WAYS.items()]
        finally:
            files.rm(path, recursive=True)
    assert len({row.pop("checksum") for row in rows}) == 1, "the ways read different tokens"
    return rows


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", required=True, help="a folder or an s3:// address to write to")
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--sequence-length", type=int, default=1024)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = run(arguments.store, arguments.megabytes, arguments.sequence_length)
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"| {' | '.join(rows[0])} |\n{'|---' * len(rows[0])}|")
    for row in rows:
        cells = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
