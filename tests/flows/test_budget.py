"""Proxies within a budget, through the command line: rounds, elimination, a larger budget later."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from curricle.recipes.loading import load_study
from curricle.tasks.plan import StudyPlan

Curricle = Callable[..., CompletedProcess[str]]

SETTINGS = (
    "proxy.tokens=1024",
    "proxy.seeds=5",
    "target.tokens=1024",
    "target.validate_every=null",
    "evaluation.multiple_choice=null",
)
RANKED = ("untouched", "exact-dedup", "shuffled-letters")


@pytest.mark.slow
def test_a_budget_buys_seeds_and_a_larger_one_goes_on(
    curricle: Curricle, tiny_study: Path, tmp_path: Path
) -> None:
    plan = StudyPlan(load_study(str(tiny_study), SETTINGS))
    seed_of_all = sum(run.flops for name in RANKED for run in plan.ranking.runs_of(name, 0))
    study = [str(tiny_study), *(part for each in SETTINGS for part in ("--set", each))]

    def proxies(budget: float) -> dict[tuple[str, float, int], float]:
        """Train within `budget`; FLOPs by recipe, rate and seed."""
        done = curricle("rank", *study, "--budget-flops", f"{budget:g}")
        assert done.returncode == 0, done.stderr
        rows = json.loads(curricle("results", *study, "--format", "json").stdout)
        return {
            (row["recipe"], row["learning_rate"], row["seed"]): row["flops"]
            for row in rows
            if row["stage"] == "proxy"
        }

    refused = curricle("rank", *study, "--budget-flops", f"{2 * seed_of_all:g}")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert len(refused.stderr.splitlines()) == 1

    first = proxies(3.2 * seed_of_all)
    assert Counter(name for name, _, _ in first) == dict.fromkeys(RANKED, 2 * 3)
    before = finished(tmp_path)

    more = proxies(4.2 * seed_of_all)
    assert set(first) < set(more)
    assert sum(more.values()) <= 4.2 * seed_of_all
    seeds = Counter(name for name, _, _ in more)
    # All that can still be the best get a fourth seed, and nobody a fifth.
    assert set(seeds.values()) <= {2 * 3, 2 * 4}
    assert seeds["untouched"] == 2 * 4
    assert before.items() <= finished(tmp_path).items()


def finished(folder: Path) -> dict[str, int]:
    """When each checkpoint was finished."""
    records = (folder / "store" / "checkpoint").glob("*/*/record.json")
    return {str(record): record.stat().st_mtime_ns for record in records}
