"""Either form of study laid out, and what the store holds of it."""

from pathlib import Path

import pandas as pd

from curricle.core.store import Store
from curricle.recipes.ladder import LadderStudy
from curricle.recipes.loading import AnyStudy
from curricle.tasks.ladder.outcome import write_ladder_report
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.ladder.results import collect_ladder_results
from curricle.tasks.outcome import write_report
from curricle.tasks.plan import StudyPlan
from curricle.tasks.results import collect_results

AnyPlan = StudyPlan | LadderPlan


def plan_of(study: AnyStudy) -> AnyPlan:
    """The plan of a study."""
    return LadderPlan(study) if isinstance(study, LadderStudy) else StudyPlan(study)


def results_of(plan: AnyPlan, store: Store) -> pd.DataFrame:
    """The tidy table of what the store holds now."""
    if isinstance(plan, LadderPlan):
        return collect_ladder_results(plan, store)
    return collect_results(plan, store)


def write_report_of(plan: AnyPlan, store: Store, path: Path) -> None:
    """Write the report of what the store holds now."""
    if isinstance(plan, LadderPlan):
        write_ladder_report(plan, store, path)
    else:
        write_report(plan, store, path)
