"""Step time under precomputed curricula against random order, paired.

    python benchmarks/curriculum_overhead.py --size 2x64 --steps 200 --rounds 9

One process, one model shape, one memory-mapped dataset. In each round every arm trains the
same number of steps, random order first and last, so that a drift of the machine meets all arms
alike; an arm's ratio is its time over the mean of the round's two random runs. Prints the median
ratio of each arm with its 95 % interval (order statistics) as a markdown table, or JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from scipy import stats

from curricle.core.jobs import ModelSpec, OptimizerSpec, TrainingSpec
from curricle.core.order_file import Order, write_order
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument
from curricle.models.devices import training_kernels
from curricle.models.placement import Placement
from curricle.models.training import TrainingRun
from curricle.models.training_inputs import open_inputs
from curricle.recipes.ordering import SampleTable, curriculum_order, random_order
from curricle.recipes.specs.curricula import Precomputed

VOCABULARY, SAMPLES, DOMAINS = 4096, 200_000, ("a", "b", "c")
ARMS: dict[str, dict[str, Any]] = {
    "growing-pool": {},
    "sorted": {},
    "v-shaped": {},
    "oversampled-v": {},
}


def make_inputs(folder: Path, length: int) -> dict[str, Path]:
    """A dataset of random tokens in three domains, and a few held-out samples."""
    inputs = {role: folder / role for role in ("dataset", "validation")}
    draw = np.random.default_rng(0)
    for role, samples in (("dataset", SAMPLES // len(DOMAINS)), ("validation", 4)):
        inputs[role].mkdir()
        writer = DatasetWriter(inputs[role], vocabulary_size=VOCABULARY, end_of_text=0)
        for domain in DOMAINS:
            tokens = draw.integers(1, VOCABULARY, samples * length + 1)
            writer.write_domain(domain, [TokenizedDocument(domain, "made up", 0, tokens)])
        writer.finish()
    return inputs


def make_spec(arguments: argparse.Namespace) -> TrainingSpec:
    """The run that every arm does."""
    layers, width = map(int, arguments.size.split("x"))
    model = ModelSpec(
        family="gpt2",
        num_layers=layers,
        width=width,
        num_heads=max(1, width // 32),
        vocabulary_size=VOCABULARY,
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
    return TrainingSpec(
        model=model,
        optimizer=optimizer,
        batch_size=arguments.batch_size,
        steps=arguments.steps,
        seed=0,
        validation_tokens_per_domain=arguments.sequence_length,
        threads=arguments.threads,
    )


def make_orders(folder: Path, inputs: dict[str, Path], spec: TrainingSpec) -> dict[str, Path]:
    """A random order and one of each curriculum, by random scores."""
    dataset = TokenDataset(inputs["dataset"], spec.model.sequence_length)
    scores = np.random.default_rng(1).random(len(dataset))
    pool = np.arange(len(dataset))
    table = SampleTable(
        scores, dataset.domain_of_samples(), tuple(dataset.domains), np.ones(len(pool), dtype=bool)
    )
    base = random_order(pool, spec.samples, 0)
    orders: dict[str, Order] = {"random": base}
    for name, settings in ARMS.items():
        given = {"pacing": name, **settings}
        curriculum: Precomputed = TypeAdapter(Precomputed).validate_python(given)
        orders[name] = curriculum_order(curriculum, table, base, batch_size=spec.batch_size, seed=0)
    for name, order in orders.items():
        (folder / name).mkdir()
        write_order(folder / name, order)
    return {name: folder / name for name in orders}


def seconds_of(spec: TrainingSpec, inputs: dict[str, Path], order: Path, device: str) -> float:
    """Seconds that the steps of one run take."""
    placement = Placement(accelerator=device)
    with tempfile.TemporaryDirectory() as output:
        data = open_inputs(spec, {**inputs, "order": order}, placement)
        run = TrainingRun(spec, data, Path(output), placement)
        run.resume()
        with training_kernels(device):
            started = time.perf_counter()
            run.fit()
            if device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - started


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Ratios of each arm over the rounds."""
    torch.set_num_threads(arguments.threads)
    spec = make_spec(arguments)
    ratios: dict[str, list[float]] = {"random again": [], **{name: [] for name in ARMS}}
    times = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = make_inputs(folder, spec.model.sequence_length)
        orders = make_orders(folder, inputs, spec)
        seconds_of(spec, inputs, orders["random"], arguments.device)  # warm-up
        for number in range(arguments.rounds):
            arms = list(ARMS)[:: 1 if number % 2 else -1]
            turns = ["random", *arms[:2], "random again", *arms[2:], "random"]
            taken = [
                (turn, seconds_of(spec, inputs, orders[turn.split()[0]], arguments.device))
                for turn in turns
            ]
            random = statistics.mean(seconds for turn, seconds in taken if turn == "random")
            times.append(random)
            for turn, seconds in taken:
                if turn != "random":
                    ratios[turn].append(seconds / random)
    step = 1e3 * statistics.median(times) / spec.steps
    return [_row(arm, found, step) for arm, found in ratios.items()]


def _row(arm: str, ratios: list[float], step: float) -> dict[str, Any]:
    ordered = sorted(ratios)
    # Of n rounds a binomial number lies below the true median: the outermost ranks that miss it
    # with at most 2.5 % on each side, or all rounds where there are too few.
    rank = max(0, int(stats.binom.ppf(0.025, len(ordered), 0.5)) - 1)
    low, high = ordered[rank], ordered[-1 - rank]
    return {
        "arm": arm,
        "random (ms a step)": step,
        "ratio": statistics.median(ratios),
        "low": low,
        "high": high,
        "rounds": len(ratios),
    }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="2x64", help="layers x width")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments)
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"| {' | '.join(rows[0])} |\n{'|---' * len(rows[0])}|")
    for row in rows:
        cells = [f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
