"""Training speed against transformers' GPT-2 in a plain loop, and the loop's own overhead.

    python benchmarks/training.py single    one model, one process, all threads, compile counted
    python benchmarks/training.py sweep     24 proxies: side by side against one after the other
    python benchmarks/training.py overhead  the job's step against a bare loop over the same model

On a GPU: `--device cuda --precision bf16`, with `--compile` and `--peer-compile` for one model.

Both sides train the same shape on the same tokens in fp32 (or `--precision bf16`), in processes of
their own, alternately in one call. Everything counts: the start of the processes, their imports,
compilation and warm-up. `steady` is the speed of the last half of one run, which leaves these out.
Prints a markdown table of medians, or JSON with `--json`.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from curricle.core.jobs import ModelSpec, OptimizerSpec, TrainingSpec
from curricle.core.order_file import batch_at, read_order, write_order
from curricle.core.plain import from_plain, to_plain
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument
from curricle.models.decoder import build_model
from curricle.models.devices import peak_flops, training_kernels
from curricle.models.flops import training_flops_per_token
from curricle.models.jobs import Job
from curricle.models.optimizer import build_optimizer
from curricle.models.placement import Placement
from curricle.models.pool import train_many
from curricle.models.training import TrainingRun
from curricle.models.training_inputs import open_inputs
from curricle.models.training_log import TrainingLog

SAME_LOOK = 2e-3
# What a job's loop calls of its log.
CALLS = ("add", "read", "note_read", "write_validation")
CORES = len(os.sched_getaffinity(0))
PEER = "import sys; sys.path.insert(0, sys.argv[1]); import training; training.peer_process()"


class Timing(NamedTuple):
    """Wall-clock seconds of everything, and tokens a second of the last half of the last run."""

    seconds: float
    steady: float


def make_inputs(folder: Path, spec: TrainingSpec) -> dict[str, Path]:
    """A dataset of Zipf-distributed tokens, a validation sample and an order, below `folder`."""
    inputs = {role: folder / role for role in ("dataset", "validation", "order")}
    for path in inputs.values():
        path.mkdir(parents=True)
    draw = np.random.default_rng(0)
    vocabulary = spec.model.vocabulary_size
    probability = 1.0 / np.arange(1, vocabulary)
    probability /= probability.sum()
    length = spec.model.sequence_length
    samples = min(spec.samples, 2048)
    for role, count in (("dataset", samples), ("validation", 2)):
        writer = DatasetWriter(inputs[role], vocabulary_size=vocabulary, end_of_text=0)
        tokens = draw.choice(np.arange(1, vocabulary), (count + 1) * length, p=probability)
        writer.write_domain("zipf", [TokenizedDocument("all", "made up", 0, tokens.tolist())])
        writer.finish()
    write_order(inputs["order"], np.resize(draw.permutation(samples), spec.samples))
    return inputs


def make_spec(arguments: argparse.Namespace, threads: int) -> TrainingSpec:
    """The run both sides do."""
    layers, width = map(int, arguments.size.split("x"))
    model = ModelSpec(
        family="gpt2",
        num_layers=layers,
        width=width,
        num_heads=arguments.heads or max(1, width // 32),
        vocabulary_size=arguments.vocabulary,
        sequence_length=arguments.sequence_length,
    )
    optimizer = OptimizerSpec(
        learning_rate=1e-3,
        schedule="constant",
        warmup_fraction=0.0,
        final_fraction=1.0,
        weight_decay=0.1,
        gradient_clip=1.0,
    )
    per_step = arguments.batch_size * arguments.sequence_length
    return TrainingSpec(
        model=model,
        optimizer=optimizer,
        batch_size=arguments.batch_size,
        steps=max(1, arguments.tokens // per_step),
        seed=0,
        precision=arguments.precision,
        compile=arguments.compile,
        validation_tokens_per_domain=arguments.sequence_length,
        threads=threads,
    )


def train_peer(
    spec: TrainingSpec, inputs: dict[str, Path], device: str, *, compiled: bool
) -> float:
    """Train transformers' GPT-2 as anybody would write it down; tokens/s of the last half."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = spec.model
    config = GPT2Config(
        vocab_size=shape.vocabulary_size,
        n_positions=shape.sequence_length,
        n_embd=shape.width,
        n_layer=shape.num_layers,
        n_head=shape.num_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
    )
    model: Any = GPT2LMHeadModel(config)
    model.to(device)
    if compiled:
        model = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    dataset = TokenDataset(inputs["dataset"], shape.sequence_length)
    order = read_order(inputs["order"], len(dataset))
    half = spec.steps // 2
    for step in range(spec.steps):
        if step == half:
            started = time.perf_counter()
        windows = torch.from_numpy(dataset.read(batch_at(order, step, spec.batch_size))).to(device)
        bf16 = spec.precision == "bf16"
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(windows[:, :-1]).logits
        loss: Any = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), windows[:, 1:].flatten()
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
    return (spec.steps - half) * spec.tokens_per_step / (time.perf_counter() - started)


def peer_process() -> None:
    """Train the jobs of the JSON on standard input in turn; prints the last one's steady speed."""
    request = json.load(sys.stdin)
    torch.set_num_threads(request["threads"])
    inputs = {role: Path(path) for role, path in request["inputs"].items()}
    spec = from_plain(TrainingSpec, request["spec"])
    for _ in range(request["jobs"]):
        steady = train_peer(spec, inputs, request["device"], compiled=request.get("compile", False))
    print(json.dumps({"steady": steady}))


def time_peer(
    spec: TrainingSpec, inputs: dict[str, Path], jobs: int, arguments: argparse.Namespace
) -> Timing:
    """The peer's process for `jobs` runs, one after the other, with all threads."""
    request = {
        "spec": to_plain(spec),
        "inputs": {role: str(path) for role, path in inputs.items()},
        "jobs": jobs,
        "threads": CORES,
        "device": arguments.device,
        "compile": arguments.peer_compile,
    }
    command = [sys.executable, "-c", PEER, str(Path(__file__).parent)]
    started = time.perf_counter()
    done = subprocess.run(
        command, input=json.dumps(request), text=True, check=True, stdout=subprocess.PIPE
    )
    seconds = time.perf_counter() - started
    return Timing(seconds, json.loads(done.stdout.splitlines()[-1])["steady"])


def time_ours(
    spec: TrainingSpec, inputs: dict[str, Path], jobs: int, workers: int | None, device: str
) -> Timing:
    """`train_many` for `jobs` runs, the start of its processes included."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, f"job{index}") for index in range(jobs)]
        for output in outputs:
            output.mkdir()
        todo = [Job("train", spec, inputs, output) for output in outputs]
        started = time.perf_counter()
        train_many(todo, workers, spec.threads, Placement(accelerator=device))
        return Timing(time.perf_counter() - started, steady_speed(outputs[-1]))


def steady_speed(output: Path) -> float:
    """Tokens a second of the last half of a run, from the averages that its log holds.

    The job looks at several steps at once on a GPU: of lines with one time the last one counts.
    """
    lines = map(json.loads, (output / "metrics.jsonl").read_text("utf-8").splitlines())
    points = [
        (line["tokens"], line["tokens"] / line["values"]["train/tokens_per_second"])
        for line in lines
        if "train/tokens_per_second" in line["values"]
    ]
    looks = [now for now, after in pairwise(points) if after[1] - now[1] > SAME_LOOK]
    (tokens, seconds), (all_tokens, all_seconds) = looks[len(looks) // 2], points[-1]
    return float((all_tokens - tokens) / (all_seconds - seconds))


def compare(arguments: argparse.Namespace, jobs: int, threads: int) -> dict[str, Any]:
    """Rounds of peer and ours in turn; medians of tokens per second."""
    spec = make_spec(arguments, threads)
    workers = None if jobs > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        inputs = make_inputs(Path(folder), spec)
        rounds = [
            (
                time_peer(spec, inputs, jobs, arguments),
                time_ours(spec, inputs, jobs, arguments.workers or workers, arguments.device),
            )
            for _ in range(arguments.rounds)
        ]
    tokens = jobs * spec.tokens
    return {
        "what": f"{arguments.what} {arguments.size} {arguments.precision}",
        "transformers (tokens/s)": tokens / statistics.median(p.seconds for p, _ in rounds),
        "ours (tokens/s)": tokens / statistics.median(ours.seconds for _, ours in rounds),
        "ratio": statistics.median(peer.seconds / ours.seconds for peer, ours in rounds),
        "seconds": [[round(peer.seconds, 1), round(ours.seconds, 1)] for peer, ours in rounds],
        **steady(rounds, spec, arguments),
    }


def steady(
    rounds: list[tuple[Timing, Timing]], spec: TrainingSpec, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Speeds without start-up, compilation and warm-up; of one model at a time."""
    if arguments.what != "single":
        return {}
    ours = statistics.median(ours.steady for _, ours in rounds)
    peak = peak_flops(torch.device(arguments.device), spec.precision, torch.get_num_threads())
    found = {
        "transformers, steady": statistics.median(peer.steady for peer, _ in rounds),
        "ours, steady": ours,
        "steady ratio": statistics.median(ours.steady / peer.steady for peer, ours in rounds),
    }
    if peak and arguments.device == "cuda":
        found["MFU"] = ours * training_flops_per_token(spec.model) / peak
    return found


def overhead(arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a step of the job and of a bare loop over the same model, in turn.

    And what share of the job's time goes into its log: reading losses, watching over them, writing.
    """
    torch.set_num_threads(1)
    spec = make_spec(arguments, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        inputs = make_inputs(Path(folder), spec)
        ratios, bare_times, in_log = [], [], list[float]()
        for index in range(arguments.rounds):
            output = Path(folder, f"round{index}")
            output.mkdir()
            # What a job is run under; both loops get the fast products.
            with training_kernels(arguments.device), timed_calls(in_log):
                bare_times.append(_bare_loop(spec, inputs, arguments.device) / spec.steps)
                ratios.append(_job_loop(spec, inputs, output, arguments.device) / spec.steps)
    return {
        "what": f"overhead {arguments.size} {arguments.precision}",
        "bare loop (ms)": 1e3 * statistics.median(bare_times),
        "job (ms)": 1e3 * statistics.median(ratios),
        "ratio": statistics.median(j / b for j, b in zip(ratios, bare_times, strict=True)),
        "share of the job's log": sum(in_log) / (spec.steps * sum(ratios)),
    }


@contextlib.contextmanager
def timed_calls(spent: list[float]) -> Iterator[None]:
    """Add the seconds that each call into a job's log takes."""
    originals = {name: getattr(TrainingLog, name) for name in CALLS}

    def timing(call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = call(*arguments)
            spent.append(time.perf_counter() - started)
            return result

        return timed

    for name, call in originals.items():
        setattr(TrainingLog, name, timing(call))
    try:
        yield
    finally:
        for name, call in originals.items():
            setattr(TrainingLog, name, call)


def _bare_loop(spec: TrainingSpec, inputs: dict[str, Path], device: str) -> float:
    model = build_model(spec.model, spec.seed).to(device)
    optimizer = build_optimizer(model, spec.optimizer)
    dataset = TokenDataset(inputs["dataset"], spec.model.sequence_length)
    batches = torch.from_numpy(dataset.read(np.arange(spec.batch_size))).to(device)
    started = time.perf_counter()
    for _ in range(spec.steps):
        with torch.autocast(device, torch.bfloat16, enabled=spec.precision == "bf16"):
            loss: Any = model(batches)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _job_loop(spec: TrainingSpec, inputs: dict[str, Path], output: Path, device: str) -> float:
    placement = Placement(accelerator=device)
    run = TrainingRun(spec, open_inputs(spec, inputs, placement), output, placement)
    run.resume()
    started = time.perf_counter()
    run.fit()
    return time.perf_counter() - started


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Formatter)
    parser.add_argument("what", choices=["single", "sweep", "overhead"])
    parser.add_argument("--size", default="4x128", help="layers x width")
    parser.add_argument("--heads", type=int, help="default: of 32 units each")
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=200_000, help="of each run")
    parser.add_argument("--jobs", type=int, default=24, help="of a sweep")
    parser.add_argument("--workers", type=int, help="processes at once; default: ours to choose")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--compile", action="store_true", help="ours")
    parser.add_argument("--peer-compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "overhead":
        row = overhead(arguments)
    elif arguments.what == "sweep":
        row = compare(arguments, jobs=arguments.jobs, threads=1)
    else:
        row = compare(arguments, jobs=1, threads=CORES)
    if arguments.json:
        print(json.dumps(row))
        return
    cells = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()]
    print(f"| {' | '.join(row)} |\n{'|---' * len(row)}|\n| {' | '.join(cells)} |")


class _Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keep the lines of the description, show defaults."""


if __name__ == "__main__":
    main()
