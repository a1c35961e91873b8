"""How long ranking takes, and how large its report gets.

    python benchmarks/ranking.py

1. 1,000 recipes x 20 seeds x 10 domains: intervals and verdicts of all 499,500 pairs in closed
   form, rank sets, 10,000 draws for ranks and P(best).
2. 300 proxies in one table (25 recipes x 4 rates x 3 seeds, 7 domains) against 25 targets x 3
   seeds: rankings, agreement, text and report.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from curricle.analysis.ranking import rank
from curricle.analysis.report.table import render_table_report
from curricle.analysis.table_ranking import rank_table
from curricle.analysis.table_summary import render_table_ranking

Result = TypeVar("Result")

RATES = {"1e-5": 0.004, "1e-4": 0.006, "1e-3": 0.02, "3e-3": 0.05}


def large_table(recipes: int, seeds: int, domains: int) -> pd.DataFrame:
    """A run per recipe and seed, a row per domain."""
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, recipes)
    shape = (recipes, seeds, domains)
    values = truth[:, None, None] + random.normal(0, 1, (1, seeds, 1)) + random.normal(0, 1, shape)
    names = [f"recipe-{place:04}" for place in range(recipes)]
    keys = itertools.product(names, range(seeds), [f"d{place}" for place in range(domains)])
    table = pd.DataFrame(keys, columns=["recipe", "seed", "domain"])
    return table.assign(value=values.ravel())


def study_table() -> pd.DataFrame:
    """The results of a study: four proxy rates that agree less and less with one target."""
    random = np.random.default_rng(1)
    truth = random.normal(0, 0.03, 25)
    parts = []
    for method, noise in {**RATES, "target": 0.005}.items():
        table = large_table(25, 3, 7)
        bias = random.normal(0, noise, 25) if method in RATES else np.zeros(25)
        shift = np.repeat(truth + bias, 21) + random.normal(0, noise / 2, len(table))
        parts.append(
            table.assign(
                value=5 + shift,
                stage="proxy" if method in RATES else "target",
                method=method,
                flops=2e11 if method in RATES else 4e12,
                dimension=np.repeat(np.resize(["mix", "quality", "dedup"], 25), 21),
            )
        )
    return pd.concat(parts, ignore_index=True)


def timed(label: str, work: Callable[[], Result]) -> Result:
    """Run `work` and print how long it took, and how much processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{wall:6.2f} s, {processor:6.2f} s of processor time  {label}", flush=True)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", type=int, default=1000)
    parser.add_argument("--output", help="where to leave the report")
    options = parser.parse_args(arguments)
    print(f"{os.cpu_count()} cores")
    table = large_table(options.recipes, 20, 10)
    found = timed(f"rank {len(table):,} values", lambda: rank(table, "recipe-0000"))
    print(f"          {len(found.pairs):,} pairs, best {found.best.recipe}")
    study = study_table()
    result = timed(f"rank a table of {len(study):,} values", lambda: rank_table(study))
    text = timed("text", lambda: render_table_ranking(result))
    page = timed("report", lambda: render_table_report("study", result))
    print(f"          {len(text.splitlines())} lines of text, {len(page) / 1e6:.2f} MB of report")
    if options.output:
        Path(options.output).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
