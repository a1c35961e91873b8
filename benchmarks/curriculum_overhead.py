"""Step time under precomputed curricula against random order, paired.

    python benchmarks/curriculum_overhead.py --size 2x64 --rounds 400

One process, one model shape, one memory-mapped dataset. Every arm has a run of its own, random
order has two; in each round each run goes on by a few steps, in another sequence each time, so that
a drift of the machine meets all arms alike. An arm's ratio is its time over that of the first
random run in the same round. Prints the median ratio of each arm with its 95 % interval (order
statistics) as a markdown table, or JSON.
"""

import argparse
import json
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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

Floats = npt.NDArray[np.float64]

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
        steps=(1 + arguments.rounds) * arguments.steps,
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


def seconds_by_round(
    runs: dict[str, TrainingRun], rounds: int, steps: int, device: str
) -> dict[str, Floats]:
    """Seconds of each run for `steps` in each round, (rounds,); a first one is left out."""
    turns = {name: run.each_step() for name, run in runs.items()}
    sequence = np.random.default_rng(2)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    with training_kernels(device):
        for _ in range(1 + rounds):
            for place in sequence.permutation(len(runs)):
                name = list(runs)[place]
                started = time.perf_counter()
                for _ in islice(turns[name], steps):
                    pass
                if device == "cuda":
                    torch.cuda.synchronize()
                taken[name].append(time.perf_counter() - started)
    return {name: np.array(seconds[1:]) for name, seconds in taken.items()}


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Ratios of each arm over the rounds."""
    torch.set_num_threads(arguments.threads)
    spec = make_spec(arguments)
    placement = Placement(accelerator=arguments.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = make_inputs(folder, spec.model.sequence_length)
        orders = make_orders(folder, inputs, spec)
        runs = {}
        for arm in ("random", "random again", *ARMS):
            data = open_inputs(spec, {**inputs, "order": orders[arm.split()[0]]}, placement)
            (output := folder / "runs" / arm).mkdir(parents=True)
            runs[arm] = TrainingRun(spec, data, output, placement)
            runs[arm].resume()
        seconds = seconds_by_round(runs, arguments.rounds, arguments.steps, arguments.device)
    random = seconds.pop("random")
    step = 1e3 * float(np.median(random)) / arguments.steps
    return [_row(arm, np.sort(mine / random), step) for arm, mine in seconds.items()]


def _row(arm: str, ratios: Floats, step: float) -> dict[str, Any]:
    # Of n rounds a binomial number lies below the true median: the outermost ranks that miss it
    # with at most 2.5 % on each side, or all rounds where there are too few.
    rank = max(0, int(stats.binom.ppf(0.025, len(ratios), 0.5)) - 1)
    return {
        "arm": arm,
        "random (ms a step)": step,
        "ratio": float(np.median(ratios)),
        "low": float(ratios[rank]),
        "high": float(ratios[-1 - rank]),
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
    parser.add_argument("--steps", type=int, default=4, help="of each run in each round")
    parser.add_argument("--rounds", type=int, default=400)
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
