"""A case in which order must matter: half of the samples are noise that no frequency count shows.

    python benchmarks/controlled_curriculum.py --seeds 5

Clean samples are walks through a Markov chain over 128 words, in which every word has four
successors (probabilities 0.7, 0.1, 0.1, 0.1) and is as frequent as any other. The noise is those
very samples with their words shuffled, so that each clean sample has a noisy twin with the same
counts. Held-out text is clean.

Each seed has a chain, a corpus, a proxy and an irreducible-loss model of its own. These two are
trained twice as long as the targets, on samples that no target reads: the proxy, which gives
learnability, on clean ones and noise as they come, the irreducible-loss model on clean ones alone,
as the held-out text is. (One that reads noise too tells it from the first words of a sample and
expects it there, so that the noise's excess loss grows with the target's confidence.) Rates fall to
a tenth along a cosine, and the growing pool draws with replacement, as in the paper. Prints

- the share of clean samples among the first half by learnability (expected: 95 % at least),
- the share of clean samples that RHO-LOSS trains on after the first tenth of its run (likewise),
- held-out loss of each arm against random order, paired by seed, with a simultaneous interval
  (expected: learnability's below zero).

Exits with 1, and a line that says which, if a share of some seed or the interval isn't as expected.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from curricle.analysis.comparison import Comparison, compare_arms
from curricle.core.jobs import (
    ModelSpec,
    OptimizerSpec,
    ScoringPart,
    ScoringSpec,
    SelectionSpec,
    TrainingSpec,
)
from curricle.core.order_file import read_read, write_order
from curricle.core.scores_file import write_scores
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument
from curricle.models.jobs import Job
from curricle.models.pool import train_many
from curricle.recipes.ordering import (
    SampleTable,
    curriculum_order,
    partition,
    random_order,
    reshuffled,
)
from curricle.recipes.proxy_scores import best_checkpoint, proxy_scores, whole_losses
from curricle.recipes.specs.curricula import GrowingPool

WORDS, SUCCESSORS, LENGTH = 128, (0.7, 0.1, 0.1, 0.1), 64
PAIRS, HELD_OUT, HOLDOUT = 6000, 200, 0.3
BATCH, STEPS, PROXY_STEPS, OVERSAMPLING = 16, 200, 400, 4
WARM_UP = 0.1
# What is expected of both shares of clean samples, in each seed.
CLEAN = 0.95
FIRST_HALF = "clean in the first half by learnability"
CHOSEN = "clean among RHO-LOSS's choices after warm-up"
CURRICULUM = GrowingPool(start_fraction=0.25, full_at=1.0, drawing="with-replacement")
# The models that score, and the order that each is trained in.
SCORERS = ("proxy", "irreducible")

Integers = npt.NDArray[np.int64]


def walks(draw: np.random.Generator, successors: Integers, count: int) -> Integers:
    """`count` walks of a sample's words, less the end of text; words count from 1."""
    state = draw.integers(WORDS, size=count)
    steps = []
    for _ in range(LENGTH - 1):
        steps.append(state)
        choice = draw.choice(len(SUCCESSORS), size=count, p=SUCCESSORS)
        state = successors[choice, state]
    return np.stack(steps, axis=1) + 1


def make_corpus(folder: Path, seed: int) -> npt.NDArray[np.bool_]:
    """Write `dataset` and `validation`; returns which samples of the dataset are clean."""
    draw = np.random.default_rng(seed)
    # Permutations: every word is as often a successor as any other.
    successors = np.stack([draw.permutation(WORDS) for _ in SUCCESSORS])
    clean = walks(draw, successors, PAIRS)
    noise = draw.permuted(clean, axis=1)
    turns = draw.permutation(2 * PAIRS)
    _write(folder / "dataset", np.concatenate([clean, noise])[turns])
    _write(folder / "validation", walks(draw, successors, HELD_OUT))
    samples = len(TokenDataset(folder / "dataset", LENGTH))
    return (turns < PAIRS)[:samples]


def _write(folder: Path, rows: Integers) -> None:
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder, vocabulary_size=WORDS + 1, end_of_text=0)
    documents = (TokenizedDocument(str(i), "made up", 0, row) for i, row in enumerate(rows))
    writer.write_domain("chain", documents)
    writer.finish()


def training(seed: int, steps: int, **changes: Any) -> TrainingSpec:
    """A run of proxy or target: both are 2 x 64."""
    model = ModelSpec(
        family="gpt2",
        num_layers=2,
        width=64,
        num_heads=2,
        vocabulary_size=WORDS + 1,
        sequence_length=LENGTH,
    )
    optimizer = OptimizerSpec(
        learning_rate=2e-3,
        schedule="cosine",
        warmup_fraction=0.05,
        final_fraction=0.1,
        weight_decay=0.1,
        gradient_clip=1.0,
    )
    return TrainingSpec(
        model=model,
        optimizer=optimizer,
        batch_size=BATCH,
        steps=steps,
        seed=seed,
        validation_tokens_per_domain=HELD_OUT * LENGTH,
        **changes,
    )


def make_scorers(
    folder: Path, seed: int, clean: npt.NDArray[np.bool_]
) -> tuple[TrainingSpec, ScoringSpec]:
    """The scoring models' run and its checkpoints, at 20, 80, 90 and 100 %; writes their orders."""
    per_step = BATCH * LENGTH
    points = tuple(round(share * PROXY_STEPS) * per_step for share in (0.2, 0.8, 0.9, 1.0))
    pool = partition(len(clean), HOLDOUT, seed, "proxy")
    for name, samples in zip(SCORERS, (pool, pool[clean[pool]]), strict=True):
        _order(folder / f"{name}-order", random_order(samples, BATCH * PROXY_STEPS, seed))
    return (
        training(seed, PROXY_STEPS, checkpoints_at=points),
        ScoringSpec(early=points[0], late=points[1:]),
    )


def _order(folder: Path, order: Integers) -> None:
    folder.mkdir()
    write_order(folder, order)


def _inputs(folder: Path, order: str, **more: Path) -> dict[str, Path]:
    named = {role: folder / role for role in ("dataset", "validation")}
    return {**named, "order": folder / order, **more}


def make_orders(folder: Path, seed: int, learnability: npt.NDArray[np.float64]) -> Integers:
    """Orders of all arms below `folder`; returns the samples that targets may read."""
    dataset = TokenDataset(folder / "dataset", LENGTH)
    pool = partition(len(dataset), HOLDOUT, seed, "target")
    count = BATCH * STEPS
    base = random_order(pool, count, seed)
    in_pool = np.isin(np.arange(len(dataset)), pool)
    table = SampleTable(learnability, dataset.domain_of_samples(), ("chain",), in_pool)
    curriculum, anti = (
        curriculum_order(CURRICULUM, table, base, batch_size=BATCH, seed=seed, anti=anti)
        for anti in (False, True)
    )
    orders = {
        "random": base,
        "learnability": curriculum,
        "anti-learnability": anti,
        "learnability-reshuffled": reshuffled(curriculum, seed),
        "rho-loss": random_order(pool, count * OVERSAMPLING, seed),
    }
    for name, order in orders.items():
        _order(folder / name, order)
    return pool


def run(folder: Path, seeds: int) -> dict[str, Any]:
    """The whole experiment; every stage on all cores."""
    places = [folder / f"seed{seed}" for seed in range(seeds)]
    clean = [make_corpus(place, seed) for seed, place in enumerate(places)]
    specs = [make_scorers(place, seed, clean[seed]) for seed, place in enumerate(places)]
    both = [
        (name, seed, place, *specs[seed]) for name in SCORERS for seed, place in enumerate(places)
    ]
    train_many(
        [
            _job("train", spec, _inputs(place, f"{name}-order"), place / name)
            for name, _, place, spec, _ in both
        ]
    )
    train_many(
        [
            _job(
                "score",
                _part(scoring, len(clean[seed])),
                _scored(place, name),
                place / f"{name}-losses",
            )
            for name, seed, place, _, scoring in both
        ]
    )
    first = [_use_scores(place, seed, clean[seed]) for seed, place in enumerate(places)]
    arms = ["random", "learnability", "anti-learnability", "learnability-reshuffled", "rho-loss"]
    todo = [(seed, arm) for seed in range(seeds) for arm in arms]
    facts = train_many([_target(places[seed], seed, arm) for seed, arm in todo])
    losses = [
        {"arm": arm, "seed": seed, "value": fact["validation"]["chain"]["loss"]}
        for (seed, arm), fact in zip(todo, facts, strict=True)
    ]
    chosen = [_chosen(place, clean[seed]) for seed, place in enumerate(places)]
    return {
        FIRST_HALF: first,
        CHOSEN: chosen,
        "losses": losses,
    }


def _part(scoring: ScoringSpec, samples: int) -> ScoringPart:
    return ScoringPart(scoring=scoring, sequence_length=LENGTH, start=0, samples=samples)


def _scored(folder: Path, scorer: str) -> dict[str, Path]:
    return {"dataset": folder / "dataset", "checkpoint": folder / scorer}


def _job(kind: str, spec: Any, inputs: dict[str, Path], output: Path) -> Job:
    output.mkdir()
    return Job(kind, spec, inputs, output)


def _use_scores(folder: Path, seed: int, clean: npt.NDArray[np.bool_]) -> float:
    """Write scores and orders; the clean share of the first half by learnability."""
    unseen = partition(len(clean), HOLDOUT, seed, "target")
    held_out = unseen[clean[unseen]]
    proxy, irreducible = (_scores(folder, name, held_out) for name in SCORERS)
    scores = {**proxy, "irreducible_loss": irreducible["irreducible_loss"]}
    (folder / "scores").mkdir()
    write_scores(folder / "scores", ["chain"] * len(clean), scores)
    pool = make_orders(folder, seed, scores["learnability"])
    ranked = pool[np.argsort(-scores["learnability"][pool], kind="stable")]
    return float(clean[ranked[: clean[pool].sum()]].mean())


def _scores(folder: Path, scorer: str, unseen: Integers) -> dict[str, npt.NDArray[np.float64]]:
    """All scores by one of the models; its best checkpoint is the best one on `unseen` samples."""
    losses_CN = whole_losses(np.load(folder / f"{scorer}-losses" / "losses.npy"), LENGTH)
    return proxy_scores(losses_CN, best_checkpoint(losses_CN, unseen))


def _target(folder: Path, seed: int, arm: str) -> Job:
    if arm != "rho-loss":
        return _job("train", training(seed, STEPS), _inputs(folder, arm), folder / f"{arm}-run")
    selection = SelectionSpec(policy="rho-loss", oversampling=OVERSAMPLING)
    inputs = _inputs(folder, arm, irreducible=folder / "scores")
    return _job("train", training(seed, STEPS, selection=selection), inputs, folder / f"{arm}-run")


def _chosen(folder: Path, clean: npt.NDArray[np.bool_]) -> float:
    read = read_read(folder / "rho-loss-run")
    assert read is not None
    return float(clean[read[round(WARM_UP * len(read)) :]].mean())


def _line(item: Comparison) -> str:
    cells = (item.arm, item.control, f"{item.difference:+.4f}", _interval(item), item.verdict)
    return f"| {' | '.join(cells)} |"


def shortfalls(found: Mapping[str, Any], compared: Sequence[Comparison]) -> Iterator[str]:
    """What isn't as expected of the shares of clean samples and of learnability's interval."""
    for name in (FIRST_HALF, CHOSEN):
        if min(found[name]) < CLEAN:
            yield f"{name}: {min(found[name]):.1%}, expected {CLEAN:.0%} or more"
    for item in compared:
        is_main = (item.arm, item.control) == ("learnability", "random")
        if is_main and not (item.high is not None and item.high < 0):
            yield f"learnability against random: {_interval(item)}, expected an interval below zero"


def _interval(item: Comparison) -> str:
    if item.low is None or item.high is None:
        return "no interval"
    return f"{item.low:+.4f} to {item.high:+.4f}"


def main() -> None:
    """Parse the command line, run, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), arguments.seeds)
    table = pd.DataFrame(found["losses"])
    pair = ("learnability", "learnability-reshuffled")
    compared = compare_arms(table, "random", also=[pair])
    if arguments.json:
        print(json.dumps(found))
    else:
        _print(found, table, compared)
    if missed := list(shortfalls(found, compared)):
        sys.exit(f"not as expected: {'; '.join(missed)}")


def _print(found: Mapping[str, Any], table: pd.DataFrame, compared: Sequence[Comparison]) -> None:
    for name in (FIRST_HALF, CHOSEN):
        print(f"{name}: {', '.join(f'{share:.1%}' for share in found[name])}")
    print(table.pivot_table(index="arm", columns="seed", values="value").round(4).to_string())
    print("| arm | against | difference (nats) | 95 % interval | verdict |\n|---|---|---|---|---|")
    for item in compared:
        print(_line(item))


if __name__ == "__main__":
    main()
