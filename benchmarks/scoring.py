"""Forward-only scoring: the loss of each token under a small model, ours beside Hugging Face's.

    python benchmarks/scoring.py                          # 4 layers x 128, 50,257 words, 16 x 256
    python benchmarks/scoring.py --layers 2 --width 64 --json
    python benchmarks/scoring.py --device cuda --batch 64   # on a GPU

Both sides hold the same weights and score the same batches, each in a process of its own: ours with
the allocator that workers get, the peer's as Python starts it. They take turns batch by batch, so
that a machine which slows down slows both; the ratio is the median over such pairs. Memory is the
peak of a process beyond what it held before its first batch, and the peak in all; on a GPU, of what
torch allocated there.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from curricle.models.worker_process import worker_environment

SIDES = ("Hugging Face", "curricle")
WARM_UP = 2


def make_model(folder: Path, settings: argparse.Namespace) -> None:
    """Save a GPT-2 of random weights, which both sides load."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=settings.layers,
        n_embd=settings.width,
        n_head=settings.heads,
        vocab_size=settings.vocabulary,
        n_positions=settings.length,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)


def make_scorer(side: str, folder: Path, device: str) -> Callable[[Tensor], Tensor]:
    """What maps windows (B, T + 1) to losses (B, T)."""
    if side == "curricle":
        from curricle.models.huggingface.importing import import_model

        return import_model(folder).to(device).token_losses
    from transformers import GPT2LMHeadModel

    model: Any = GPT2LMHeadModel.from_pretrained(folder)
    model.to(device)

    def score(windows_BT1: Tensor) -> Tensor:
        logits_BTV = model(windows_BT1[:, :-1], use_cache=False).logits
        target_N = windows_BT1[:, 1:].flatten()
        loss_N = F.cross_entropy(logits_BTV.flatten(0, 1), target_N, reduction="none")
        return loss_N.view(len(windows_BT1), -1)

    return score


@torch.no_grad()
def serve(side: str, folder: Path, settings: argparse.Namespace) -> None:
    """Score one batch for each line that comes in, and print what it took."""
    torch.set_num_threads(settings.threads)
    score = make_scorer(side, folder, settings.device)
    torch.manual_seed(1)
    shape = (settings.batch, settings.length + 1)
    windows_BT1 = torch.randint(0, settings.vocabulary, shape).to(settings.device)
    before = mebibytes_now(settings.device)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = float(score(windows_BT1).mean())
        seconds = time.perf_counter() - start
        peak = most_mebibytes(settings.device)
        facts = {"seconds": seconds, "loss": loss, "peak": peak, "growth": peak - before}
        print(json.dumps(facts), flush=True)


def mebibytes_now(device: str) -> float:
    """What this process holds, or has torch hold on the GPU."""
    if device == "cuda":
        return torch.cuda.memory_allocated() / 2**20
    return resident_mebibytes("VmRSS")


def most_mebibytes(device: str) -> float:
    """The most this process ever held, or had torch hold on the GPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resident_mebibytes("VmHWM")


def resident_mebibytes(key: str) -> float:
    """VmRSS, what this process has in memory now, or VmHWM, the most it ever had (Linux)."""
    status = Path("/proc/self/status").read_text("utf-8")
    (kibibytes,) = re.findall(rf"{key}:\s*(\d+) kB", status)
    return int(kibibytes) / 1024


def start(side: str, folder: Path) -> subprocess.Popen[str]:
    """A process that serves one side."""
    environment = worker_environment("") if side == "curricle" else dict(os.environ)
    command = [sys.executable, __file__, *sys.argv[1:], "--serve", side, str(folder)]
    return subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def ask(process: subprocess.Popen[str]) -> dict[str, float]:
    """One batch of one side."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """Let the sides take turns, and compare them."""
    with tempfile.TemporaryDirectory() as name:
        make_model(Path(name), settings)
        processes = {side: start(side, Path(name)) for side in SIDES}
        rounds = [
            {side: ask(process) for side, process in processes.items()}
            for _ in range(WARM_UP + settings.rounds)
        ]
        for process in processes.values():
            process.communicate()
    return summary(rounds[WARM_UP:], settings.batch * settings.length)


def summary(rounds: list[dict[str, dict[str, float]]], tokens: int) -> dict[str, Any]:
    """Medians of each side, and of the ratios within each round."""
    sides = {
        side: {
            "tokens_per_second": tokens
            / statistics.median(each[side]["seconds"] for each in rounds),
            "growth_mebibytes": rounds[-1][side]["growth"],
            "peak_mebibytes": rounds[-1][side]["peak"],
            "loss": rounds[-1][side]["loss"],
        }
        for side in SIDES
    }
    peer, ours = SIDES
    ratios = [each[peer]["seconds"] / each[ours]["seconds"] for each in rounds]
    return {
        "sides": sides,
        "speed_ratio": statistics.median(ratios),
        "speed_ratio_range": [min(ratios), max(ratios)],
        "growth_ratio": sides[ours]["growth_mebibytes"] / sides[peer]["growth_mebibytes"],
        "peak_ratio": sides[ours]["peak_mebibytes"] / sides[peer]["peak_mebibytes"],
    }


def table(result: dict[str, Any], settings: argparse.Namespace) -> str:
    """The comparison in Markdown."""
    shape = f"{settings.layers} x {settings.width}, {settings.vocabulary:,} words"
    batch = f"{settings.batch} x {settings.length} tokens"
    if settings.device == "cuda":
        where = torch.cuda.get_device_name()
    else:
        where = f"{settings.threads} thread(s)"
    low, high = result["speed_ratio_range"]
    return "\n".join(
        [
            f"Scoring, {shape}, {batch}, {where}, torch {torch.__version__}, "
            f"{settings.rounds} rounds",
            "",
            "| side | tokens/s | peak beyond the model, MiB | peak in all, MiB | mean loss |",
            "|---|---|---|---|---|",
            *(
                f"| {side} | {facts['tokens_per_second']:,.0f} | {facts['growth_mebibytes']:,.0f} "
                f"| {facts['peak_mebibytes']:,.0f} | {facts['loss']:.6f} |"
                for side, facts in result["sides"].items()
            ),
            "",
            f"Speed {result['speed_ratio']:.2f}x ({low:.2f} to {high:.2f}); memory "
            f"{result['growth_ratio']:.3f} of the peer's, in all {result['peak_ratio']:.3f}.",
        ]
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2, help="of each side")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--serve", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Compare the sides, or be one of them."""
    settings = parse()
    if settings.serve:
        side, folder = settings.serve
        serve(side, Path(folder), settings)
        return
    result = measure(settings)
    print(json.dumps(result, indent=2) if settings.json else table(result, settings))


if __name__ == "__main__":
    main()
