"""Perplexity of documents: time, memory and agreement beside a plain Hugging Face loop.

    python benchmarks/evaluate_perplexity.py --threads 2

A GPT-2 with random weights (the numbers needn't make sense to be compared) reads documents of
random tokens and log-normal lengths. The peer takes one document after the other in windows that
don't overlap, computes all logits and their cross-entropy; `batched` pads as many to one length.
Both take turns, round after round; medians are printed. Memory is how much a fresh process grows
while it evaluates, beyond the loaded model. The differences are those of the documents that fit
the context: in the last window of a longer one ours gives the tokens more to read.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from curricle.models.documents import Document
from curricle.models.loading import load_language_model
from curricle.models.perplexity import document_perplexity

END_OF_TEXT, CONTEXT = 50_256, 1024
PADDING = -100
Work = Callable[[Sequence[Document]], np.ndarray[Any, np.dtype[np.float64]]]


def save_model(folder: Path) -> None:
    """GPT-2's vocabulary and context, 4 layers of width 128."""
    torch.manual_seed(0)
    config = GPT2Config(n_layer=4, n_embd=128, n_head=4, n_positions=CONTEXT)
    GPT2LMHeadModel(config).save_pretrained(folder)


def make_documents(count: int) -> list[Document]:
    """Documents of 20 to some thousand tokens, half of them below 300."""
    draw = np.random.default_rng(0)
    lengths = np.exp(draw.normal(np.log(300), 1.0, count)).astype(int) + 20
    return [
        Document("made up", str(index), draw.integers(0, END_OF_TEXT, length), 4 * int(length))
        for index, length in enumerate(lengths)
    ]


def ours(folder: Path) -> Work:
    """`document_perplexity` without overlap."""
    model = load_language_model(folder)

    def work(documents: Sequence[Document]) -> np.ndarray[Any, np.dtype[np.float64]]:
        rows = document_perplexity(model, documents, end_of_text=END_OF_TEXT)
        nats: np.ndarray[Any, np.dtype[np.float64]] = rows["nats"].to_numpy()
        return nats

    return work


def theirs(folder: Path, batch: int) -> Work:
    """The loop as everyone writes it, `batch` windows at once."""
    model: Any = GPT2LMHeadModel.from_pretrained(folder)
    model.eval()

    @torch.no_grad()
    def work(documents: Sequence[Document]) -> np.ndarray[Any, np.dtype[np.float64]]:
        windows = [
            (index, np.concatenate([[END_OF_TEXT], item.tokens])[start : start + CONTEXT + 1])
            for index, item in enumerate(documents)
            for start in range(0, len(item.tokens), CONTEXT)
        ]
        nats = np.zeros(len(documents))
        for first in range(0, len(windows), batch):
            part = windows[first : first + batch]
            width = max(len(tokens) for _, tokens in part)
            padded = torch.full((len(part), width), PADDING)
            for row, (_, tokens) in enumerate(part):
                padded[row, : len(tokens)] = torch.from_numpy(tokens)
            inputs, targets = padded[:, :-1], padded[:, 1:]
            logits = model(inputs.clamp(min=0)).logits
            losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
            for row, (index, _) in enumerate(part):
                nats[index] += losses[row].double().sum().item()
        return nats

    return work


def contestants(folder: Path, batch: int) -> dict[str, Callable[[], Work]]:
    """Ours and the two forms of the peer, not loaded yet."""
    return {
        "Hugging Face, one by one": lambda: theirs(folder, 1),
        f"Hugging Face, batched by {batch}": lambda: theirs(folder, batch),
        "curricle": lambda: ours(folder),
    }


def growth(name: str, folder: Path, settings: argparse.Namespace) -> float:
    """MiB by which a fresh process grows."""
    options = ["--documents", str(settings.documents), "--batch", str(settings.batch)]
    command = [sys.executable, __file__, *options, "--threads", str(settings.threads)]
    command += ["--peak", name, str(folder)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_growth(name: str, folder: Path, settings: argparse.Namespace) -> None:
    """The difference between the most memory while evaluating and what the model takes."""
    documents = make_documents(settings.documents)
    work = contestants(folder, settings.batch)[name]()
    work([Document("warm up", "0", np.arange(8), 8)])
    before = resident_mebibytes("VmRSS")
    work(documents)
    print(resident_mebibytes("VmHWM") - before)


def resident_mebibytes(key: str) -> float:
    """VmRSS, what this process has in memory now, or VmHWM, the most it ever had (Linux)."""
    status = Path("/proc/self/status").read_text("utf-8")
    (kibibytes,) = re.findall(rf"{key}:\s*(\d+) kB", status)
    return int(kibibytes) / 1024


def compare(folder: Path, settings: argparse.Namespace) -> None:
    """Print the table."""
    documents = make_documents(settings.documents)
    tokens = sum(len(item.tokens) for item in documents)
    works = {name: load() for name, load in contestants(folder, settings.batch).items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    nats: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    for _ in range(settings.repeats):
        for name, work in works.items():
            begin = time.perf_counter()
            nats[name] = work(documents)
            seconds[name].append(time.perf_counter() - begin)
    peer = next(iter(works))
    print(f"{tokens} tokens in {len(documents)} documents, {settings.threads} thread(s)\n")
    print("| | tokens/s | times the first | peak MiB | largest difference, nats a token |")
    print("|---|---|---|---|---|")
    sizes = np.array([len(item.tokens) for item in documents])
    for name, times in seconds.items():
        median = statistics.median(times)
        ratio = statistics.median(a / b for a, b in zip(seconds[peer], times, strict=True))
        error = np.abs((nats[name] - nats[peer]) / sizes)[sizes <= CONTEXT].max()
        peak = growth(name, folder, settings)
        print(f"| {name} | {tokens / median:.0f} | {ratio:.2f} | {peak:.0f} | {error:.1e} |")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--batch", type=int, default=8, help="of the batched peer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Compare, or measure one contestant's memory."""
    settings = parse()
    torch.set_num_threads(settings.threads)
    if settings.peak:
        name, folder = settings.peak
        print_growth(name, Path(folder), settings)
        return
    with tempfile.TemporaryDirectory() as scratch:
        save_model(Path(scratch))
        compare(Path(scratch), settings)


if __name__ == "__main__":
    main()
