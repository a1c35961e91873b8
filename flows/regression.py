"""Regression: a whole study from nothing, compared with the time before."""

from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from curricle.flows.artifacts import show_table
from curricle.flows.study import study as whole_study
from curricle.tasks.outcome import CHANGED
from curricle.tasks.regression import Comparison, Regression


@flow(name="regression", flow_run_name="regression {study}", persist_result=False)
def regression(study: str = "quickstart", overrides: list[str] | None = None) -> State:
    """Run a study from nothing, and say whether it finds what it found the time before.

    Ends as *Changed*, which is a failure, if a result differs by more than chance. The next run is
    compared with this one.

    Args:
        study: Name of a shipped study, or path of a study file on the worker.
        overrides: Keys of the study to override, such as proxy.tokens=200000.
    """
    runs, own = Regression(study, overrides or []), str(flow_run.get_id())
    runs.begin(own)
    made: Any = whole_study
    state: State = made(study, runs.settings(own), return_state=True)
    if state.name != "Completed":
        return state
    comparison = runs.compare(own)
    runs.end(own)
    if comparison is None:
        return Completed(message="the first run: the next one is compared with it")
    _show(study, comparison)
    if comparison.is_sure:
        return Failed(name=CHANGED, message=str(comparison))
    return Completed(message=str(comparison))


def _show(study: str, comparison: Comparison) -> None:
    if rows := [cell.to_row() for cell in comparison.changed]:
        show_table(study, "regression", rows, str(comparison))
