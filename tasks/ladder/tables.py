"""What the store holds of a ladder, as the tables that its analysis reads."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from curricle.analysis.scaling.ladder import LadderTables
from curricle.core.store import Store
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.ladder.runs import LadderRun

_PLACE = ["curriculum", "schedule", "budget", "size", "parameters", "tokens", "flops", "seed"]


def read_tables(plan: LadderPlan, store: Store) -> LadderTables:
    """The finished runs, their items and their curves."""
    runs = _finished(plan.runs, store)
    tuned = _finished(plan.tuned, store)
    every = [*((run, False) for run in runs), *((run, True) for run in tuned)]
    losses = [row for run, is_tuned in every for row in _losses(run, is_tuned, store)]
    table = _frame(losses, ["tuned", "domain", "loss"])
    unread = _unread(plan, table, store)
    read = table[~table["domain"].isin(unread)]
    means = read.groupby([*_PLACE, "tuned"], sort=False)["loss"].mean().reset_index()
    tuning = plan.scaling.fine_tuning
    return LadderTables(
        runs=means,
        losses=table,
        items=_items(plan, every, store),
        along=_along(plan, runs, store),
        control=plan.scaling.control,
        main_schedule=plan.scaling.main_schedule,
        stages=plan.scaling.stages.names,
        tuned_on=tuning.stage if tuning else None,
        unread=unread,
    )


def _finished(runs: Sequence[LadderRun], store: Store) -> list[LadderRun]:
    return [run for run in runs if store.exists(run.step.artifact)]


def _unread(plan: LadderPlan, losses: pd.DataFrame, store: Store) -> tuple[str, ...]:
    """Domains with a held-out loss that the runs' dataset has no text of."""
    if losses.empty:
        return ()
    read = store.facts(plan.dataset.artifact)["domains"]
    return tuple(name for name in losses["domain"].unique() if name not in read)


def _losses(run: LadderRun, tuned: bool, store: Store) -> list[dict[str, Any]]:
    domains = store.facts(run.step.artifact)["validation"]
    return [
        {**run.place, "tuned": tuned, "domain": name, "loss": entry["loss"]}
        for name, entry in domains.items()
    ]


def _items(plan: LadderPlan, every: Sequence[tuple[LadderRun, bool]], store: Store) -> pd.DataFrame:
    rows = []
    asked = plan.asked([run for run, _ in every])
    for (run, tuned), step in zip(every, asked, strict=False):
        if store.exists(step.artifact):
            rows += [{**run.place, "tuned": tuned, **one} for one in step.families(store)]
    names = ["tuned", "stage", "family", "held_out", "items", "accuracy", "chance", "exact"]
    return _frame(rows, [*names, "probability", "nats"])


def _along(plan: LadderPlan, runs: Sequence[LadderRun], store: Store) -> pd.DataFrame:
    """Held-out losses along the runs at the peak rate, or along whole runs without a trunk."""
    last = max((run.budget for run in runs), default=0)
    rows = []
    for run in runs:
        if run.budget != last or run.schedule != plan.scaling.main_schedule:
            continue
        step = run.step.trunk or run.step
        place = {key: run.place[key] for key in ("curriculum", "parameters", "seed")}
        rows += [
            {**place, "tokens": at, "domain": domain, "loss": loss}
            for at, losses in step.losses_along(store).items()
            for domain, loss in losses.items()
        ]
    columns = ["curriculum", "parameters", "seed", "tokens", "domain", "loss"]
    return pd.DataFrame(rows, columns=columns)


def _frame(rows: Sequence[dict[str, Any]], more: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*_PLACE, *more])
