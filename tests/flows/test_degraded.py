"""A sweep with proxies that diverge: ranked from the rest, in a state of its own."""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from prefect.testing.utilities import prefect_test_harness

from curricle.core.errors import JobError
from curricle.core.store import Store
from curricle.flows.rank import rank
from curricle.recipes.loading import load_study
from curricle.tasks.baselines import BaselineStep
from curricle.tasks.plan import StudyPlan

Curricle = Callable[..., CompletedProcess[str]]

SETTINGS = (
    "proxy.learning_rates=[1e-3, 1e12]",
    "proxy.tokens=1024",
    "target.tokens=1024",
    "target.tuning={learning_rates: [1e-2]}",
    "target.validate_every=null",
    "band={learning_rates: [1e-5, 1e-4, 1e-3], tokens: 512, seeds: 2, batches: 2, products: 4}",
    "evaluation.multiple_choice=null",
    "sweep.pythia={recipes: [untouched, exact-dedup], "
    "proxy: {family: pythia, learning_rates: [1e-3]}}",
)


def states(folder: Path) -> dict[str, set[tuple[str, str]]]:
    """Types and names of the flow runs' states, by flow."""
    database = folder / "store" / "prefect" / "prefect.db"
    query = (
        "select flow.name, state_type, state_name from flow_run "
        "join flow on flow.id = flow_run.flow_id"
    )
    found: dict[str, set[tuple[str, str]]] = {}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for name, kind, state in connection.execute(query):
            found.setdefault(name, set()).add((kind, state))
    return found


@pytest.mark.slow
def test_a_sweep_goes_on_without_what_diverges(
    curricle: Curricle, tiny_study: Path, tmp_path: Path
) -> None:
    arguments = [part for setting in SETTINGS for part in ("--set", setting)]
    done = curricle("rank", str(tiny_study), *arguments)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().split("\n")[-1]
    assert last.startswith("Degraded: 12 runs are missing (proxy untouched, rate 1e+12, seed 0;")
    assert last.endswith("The same command tries them again.")
    assert "Recipes at the tiny rate 1e-3" in done.stdout
    assert "Learning rates" in done.stdout
    assert ["pythia,", "1e-3", "2"] in [line.split()[:3] for line in done.stdout.splitlines()]
    assert states(tmp_path)["rank"] == {("COMPLETED", "Degraded")}
    assert states(tmp_path)["prepare"] == {("COMPLETED", "Completed")}

    rows = json.loads(curricle("results", str(tiny_study), *arguments, "--format", "json").stdout)
    runs = {(row["stage"], row["recipe"], row["learning_rate"], row["seed"]) for row in rows}
    stages = [run[0] for run in runs]
    assert {name: stages.count(name) for name in set(stages)} == {
        "band": 2 * 3 * 2,
        "proxy": 4 * 3,
        "sweep": 2 * 3,
        "tuning": 4,
        "confirm": 4 * 3,
    }
    status = json.loads(curricle("status", str(tiny_study), *arguments, "--json").stdout)
    ranked = next(row for row in status if row["stage"] == "rank")
    assert ranked["expected"]["seeds"] == 3

    again = curricle("rank", str(tiny_study), *arguments, "--json")
    assert again.returncode == 0, again.stderr
    outcome = json.loads(again.stdout)
    assert outcome["state"] == "Degraded"
    assert len(outcome["missing"]) == 12


@pytest.mark.slow
def test_a_sweep_goes_on_without_measurements_that_fail(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: BaselineStep, *_: object) -> None:
        raise JobError(f"{self.job_kind}: not finite")

    monkeypatch.setattr(BaselineStep, "build", fail)
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))
    settings = [
        f"store={tmp_path / 'store'}",
        "proxy.tokens=1024",
        *SETTINGS[2:6],
        "evaluation.multiple_choice=null",
    ]
    with prefect_test_harness(server_startup_timeout=240):
        state: Any = rank(str(tiny_study), settings, return_state=True)
    assert state.name == "Degraded"
    assert "missing (start of untouched, seed 0;" in (state.message or "")
    plan = StudyPlan(load_study(str(tiny_study), settings))
    store = Store(plan.study.store)
    assert plan.ranking.tiny(store) is not None
    assert plan.band.present(store) is None
    methods = plan.methods[0].present(store)
    assert methods is not None
    assert {one.how for one in methods.methods} == {"end", "tuned"}
    assert store.exists(methods.artifact)
