"""A study that never ran: made-up results with known truth, shaped like the quickstart's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.accuracies import accuracy_table
from curricle.analysis.comparison import compare_arms
from curricle.analysis.content import ArmReads, ReportContent, ScoredText, SweepVariant
from curricle.analysis.cost_matching import compare_at_equal_cost
from curricle.analysis.costs import costs_of, scoring_charge
from curricle.analysis.documents import DocumentComparison, compare_documents
from curricle.analysis.multiple_choice import LetterReport, letter_report
from curricle.analysis.ranking import rank, rank_domains
from curricle.analysis.results import arms_table, ranking_table, results_table
from curricle.analysis.score_quality import MeasuredScore, ScoreQualities, judge_scores

DOMAINS = {
    "docstrings": 0.1,
    "headers": -0.2,
    "javascript": 0.3,
    "licences": -0.6,
    "prose": 0.5,
    "python": 0.0,
}
RECIPES = {
    "untouched": (0.0, 0.0),
    "exact-dedup": (-0.0012, -0.004),
    "minhash-dedup": (-0.0031, -0.012),
    "quality-filter": (-0.0008, 0.015),
    "text-heavy": (-0.0074, -0.021),
    "code-heavy": (0.0052, 0.018),
    "dedup-filter-text": (-0.0069, -0.034),
    "low-entropy-first": (0.0001, 0.022),
    "shuffled-words": (0.0039, 0.094),
    "shuffled-letters": (0.0310, 0.610),
}
ROLES = {"shuffled-words": "subtle-control", "shuffled-letters": "bad-control"}
ARMS = {
    "random": 0.0,
    "learnability": -0.008,
    "anti-learnability": 0.035,
    "learnability-reshuffled": 0.003,
}
SEEDS = (0, 1, 2)


def _run(**fields: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "curriculum": "random",
        "family": "gpt2",
        "size": "2x64",
        "parameters": 361_000,
        "variant": "",
        "batch_size": 8,
        "weight_decay": 0.1,
        "schedule": "constant",
        "tokens": 60_000,
        "flops": 1.9e11,
        "metric": "validation/loss",
    }
    return {**base, **fields}


def _losses(
    random: np.random.Generator, loss: float, noise: float, fields: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for domain, level in DOMAINS.items():
        value = loss + level + random.normal(0, noise)
        yield _run(**fields, domain=domain, value=value)


def _rows(recipes: dict[str, tuple[float, float]]) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(7)
    rates = {1e-4: (8.11, 0.0016, 0), 3e-3: (5.32, 0.018, 1)}
    effects = {rate: random.normal(0, 0.02, len(SEEDS)) for rate in rates}
    tilt = {name: random.normal(0, 1, len(DOMAINS)) for name in recipes}
    for rate, (level, noise, column) in rates.items():
        for name, truth in recipes.items():
            for seed in SEEDS:
                fields = {"stage": "proxy", "recipe": name, "learning_rate": rate, "seed": seed}
                for index, row in enumerate(
                    _losses(random, level + truth[column] + effects[rate][seed], noise, fields)
                ):
                    row["value"] += tilt[name][index] * noise * (2 if column else 3)
                    yield row
    big: dict[str, Any] = {
        "size": "4x128",
        "parameters": 1_330_000,
        "tokens": 100_000,
        "flops": 1.1e12,
        "learning_rate": 2e-3,
        "schedule": "cosine",
    }
    for name in ("text-heavy", "minhash-dedup", "shuffled-letters"):
        if name in recipes:
            for seed in SEEDS:
                fields = {**big, "stage": "confirm", "recipe": name, "seed": seed}
                yield from _losses(random, 4.9 + recipes[name][1], 0.01, fields)
    for seed in SEEDS:
        fields = {"stage": "scoring", "recipe": "text-heavy", "learning_rate": 3e-3, "seed": seed}
        yield _run(**fields | {"curriculum": "learnability"}, domain="average", value=5.3)
    for arm, shift in ARMS.items():
        for seed in SEEDS:
            fields = {
                **big,
                "stage": "target",
                "recipe": "text-heavy",
                "curriculum": arm,
                "seed": seed,
            }
            rows = list(_losses(random, 4.88 + shift + 0.02 * seed, 0.012, fields))
            yield from rows
            for row in rows:
                yield {
                    **row,
                    "metric": "validation/perplexity",
                    "value": float(np.exp(row["value"])),
                }
                yield {
                    **row,
                    "metric": "validation/bits_per_byte",
                    "value": row["value"] / np.log(2) * 0.42,
                }
            for metric, value in (
                ("multiple_choice/accuracy", 0.26 + random.normal(0, 0.02)),
                ("multiple_choice/calibrated_accuracy", 0.27 + random.normal(0, 0.02)),
                ("multiple_choice/correct_probability", 0.2506 + random.normal(0, 0.001)),
                ("multiple_choice/bits_per_byte", 2.31 + random.normal(0, 0.03)),
            ):
                yield {**rows[0], "metric": metric, "domain": "average", "value": value}
            for tokens in (50_000, 100_000):
                for metric, value in _sharpness(random):
                    at = {**rows[0], "metric": f"sharpness/{metric}", "tokens": tokens}
                    yield {**at, "domain": "average", "value": value}


def _sharpness(random: np.random.Generator) -> Iterator[tuple[str, float]]:
    largest = 41 + random.normal(0, 6)
    yield from (("largest_eigenvalue", largest), ("smallest_eigenvalue", -largest / 4))
    yield from (("largest_residual", 0.004), ("smallest_residual", 0.03))
    yield from (("largest_converged", 1.0), ("smallest_converged", 0.0))
    yield from (("dense_largest_eigenvalue", largest / 2), ("dense_smallest_eigenvalue", -2.0))
    yield from (("trace", 12 * largest), ("trace_error", 40.0))
    yield from (("sam", largest / 900), ("adaptive_sam", largest / 4000), ("critical", largest / 3))


def _documents() -> tuple[DocumentComparison, ...]:
    sizes = np.ceil(np.exp(np.random.default_rng(1).normal(6, 0.7, 80)))
    level = np.random.default_rng(2).gamma(4, 0.3, 80)
    tables: dict[str, list[pd.DataFrame]] = {}
    for place, (arm, shift) in enumerate(ARMS.items()):
        for seed in SEEDS:
            noise = np.random.default_rng(10 * place + seed).normal(0, 0.05, 80)
            columns = {
                "domain": np.resize(list(DOMAINS), 80),
                "document": [str(index) for index in range(80)],
                "bytes": sizes.astype(int),
                "nats": (level + shift + noise) * sizes,
            }
            tables.setdefault(arm, []).append(pd.DataFrame(columns))
    return compare_documents(tables, "random")


def _letters() -> Iterator[LetterReport]:
    random = np.random.default_rng(3)
    answers = [
        str(letter) for letter in random.choice(list("ABCD"), 200, p=[0.23, 0.24, 0.26, 0.27])
    ]
    for arm in ARMS:
        for seed in SEEDS:
            share = random.dirichlet([1.2, 1.0, 0.8, 3.0])
            predictions = [str(letter) for letter in random.choice(list("ABCD"), 200, p=share)]
            yield letter_report(arm, answers, predictions, seed=seed, truncated=0.38)


def _subjects() -> pd.DataFrame:
    random = np.random.default_rng(4)
    tables: dict[str, list[pd.DataFrame]] = {}
    for arm in ARMS:
        for _ in SEEDS:
            columns = {
                "subject": np.repeat(["anatomy", "docstrings"], 30),
                "answer": np.resize(list("ABCD"), 60),
                "prediction": random.choice(list("ABCD"), 60),
            }
            tables.setdefault(arm, []).append(pd.DataFrame(columns))
    return accuracy_table(tables)


def _curves() -> pd.DataFrame:
    random = np.random.default_rng(5)
    tokens = np.linspace(8_000, 100_000, 12)
    rows = [
        (arm, seed, int(at), 4.85 + shift + 3.4 * np.exp(-at / 22_000) + random.normal(0, 0.012))
        for arm, shift in ARMS.items()
        for seed in SEEDS
        for at in tokens
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "tokens", "value"])


def _scores() -> pd.DataFrame:
    random = np.random.default_rng(6)
    parts = [
        pd.DataFrame(
            {"domain": domain, "score": random.normal(2.6 - level, 0.3 + 0.2 * abs(level), 900)}
        )
        for domain, level in DOMAINS.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _qualities() -> ScoreQualities:
    table, draw = _scores(), np.random.default_rng(7)
    truth = table["score"].to_numpy()
    halves = truth + draw.normal(0, 0.2, (2, len(truth)))
    return judge_scores(
        [
            MeasuredScore(name="learnability", by_seed=[truth, halves[0]], halves=halves),
            MeasuredScore(name="mtld", by_seed=[-truth], halves=draw.normal(size=halves.shape)),
        ],
        table["domain"].tolist(),
    )


def _corpus(recipes: dict[str, tuple[float, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    corpus, drops = [], []
    for place, name in enumerate(recipes):
        corpus += [(name, d, 820 - 31 * place, 178_000 - 9_000 * place) for d in DOMAINS]
        if "dedup" in name:
            drops += [(name, "exact duplicate", 61), (name, "near-duplicate", 130)]
        if "filter" in name:
            drops += [(name, "too few words", 88), (name, "too many symbols", 41)]
    return (
        pd.DataFrame(corpus, columns=["recipe", "domain", "documents", "tokens"]),
        pd.DataFrame(drops, columns=["recipe", "reason", "documents"]),
    )


def make_content(recipes: dict[str, tuple[float, float]] = RECIPES) -> ReportContent:
    """A finished study over `recipes`: name -> (effect at the tiny rate, at the standard rate)."""
    results = results_table(_rows(recipes))
    roles = {name: ROLES.get(name, "candidate") for name in recipes}
    baseline = next(iter(recipes))
    order_only = [name for name in recipes if name == "low-entropy-first"]
    tiny = ranking_table(results, stage="proxy", learning_rate=1e-4)
    standard = ranking_table(results, stage="proxy", learning_rate=3e-3)
    confirm = ranking_table(results, stage="confirm")
    half = tiny[tiny["recipe"].isin(list(recipes)[::2])]
    corpus, drops = _corpus(recipes)
    reshuffled = ("learnability", "learnability-reshuffled")
    charge = scoring_charge(results, "learnability", "random")
    return ReportContent(
        study="quickstart",
        created="2026-03-01 12:00 UTC",
        tiny_rate=1e-4,
        standard_rate=3e-3,
        tiny=rank(tiny, baseline, roles, order_only=order_only),
        standard=rank(standard, baseline, roles),
        confirmation=rank(confirm, "minhash-dedup", {"shuffled-letters": "bad-control"})
        if "minhash-dedup" in recipes
        else None,
        variants=(
            SweepVariant(name="pythia", rankings={1e-4: rank(standard, baseline, roles)}),
            SweepVariant(name="half", rankings={1e-4: rank(half, baseline, roles)}),
        ),
        domains=rank_domains(tiny, baseline, roles, order_only=order_only),
        comparisons=compare_arms(arms_table(results), "random", also=[reshuffled]),
        by_schedule={
            "cosine": compare_arms(arms_table(results), "random")[:1],
            "constant, averaged": compare_arms(arms_table(results), "random")[:1],
        },
        by_rounding={
            "as trained": compare_arms(arms_table(results), "random")[:1],
            "in 6 bits": compare_arms(arms_table(results), "random")[:1],
        },
        equal_costs=compare_at_equal_cost(
            arms_table(results),
            {"random": {"learnability": {"operations": 0.4, "time": 0.7}}},
            longer="anti-learnability",
            factor=1.5,
        ),
        curricula=("learnability",),
        reads=(
            ArmReads(
                arm="learnability",
                drawing="with replacement",
                distinct_samples=(311, 318),
                most_reads=(7, 7),
            ),
        ),
        curves=_curves(),
        evaluation=results[results["stage"] == "target"],
        documents=_documents(),
        letters=tuple(_letters()),
        subjects=_subjects(),
        scores=_scores(),
        score_facts={"Samples scored": "300"},
        score_qualities=_qualities(),
        examples=(
            ScoredText(domain="python", score=4.1, text="import os\nimport sys\n\ndef main():"),
            ScoredText(domain="prose", score=-0.6, text="| 0x3f | 0x9c | <b>0x11</b> |"),
        ),
        costs=costs_of(results),
        charges=(charge,) if charge else (),
        corpus=corpus,
        drops=drops,
        recipes=pd.DataFrame(
            [(name, "dimension", roles[name], "steps of the recipe") for name in recipes],
            columns=["recipe", "dimension", "role", "description"],
        ),
        provenance={"Commit": "0123abcd", "torch": "2.13.0", "Device": "CPU, 2 cores"},
        spec="name: quickstart\nseed: 0\nrecipes:\n  untouched: {}\n",
    )


@pytest.fixture(scope="session")
def content() -> ReportContent:
    return make_content()
