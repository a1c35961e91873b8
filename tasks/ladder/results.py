"""The tidy table of everything that a ladder has measured so far."""

from typing import Any

import pandas as pd

from curricle.analysis.results import results_table
from curricle.core.store import Store
from curricle.tasks.ladder.plan import LadderPlan


def collect_ladder_results(plan: LadderPlan, store: Store) -> pd.DataFrame:
    """Losses of every finished run that ends a budget, and its scores by stage and family."""
    every = [*plan.runs, *plan.tuned]
    rows: list[dict[str, Any]] = []
    for run in every:
        if store.exists(run.step.artifact):
            rows += run.step.rows(store)
    for asked in plan.asked(every):
        if store.exists(asked.artifact):
            columns = asked.run.columns(store.facts(asked.run.artifact))
            rows += [
                {
                    **columns,
                    "metric": f"items/{metric}",
                    "domain": f"{one['stage']}/{one['family']}",
                    "value": float(one[metric]),
                }
                for one in asked.families(store)
                for metric in ("accuracy", "exact", "probability", "nats")
            ]
    return results_table(rows)
