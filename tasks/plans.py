"""Either form of study laid out, and what the store holds of it."""

import pandas as pd

from curricle.analysis.report import render_report
from curricle.core.store import Store
from curricle.recipes.ladder import LadderStudy
from curricle.recipes.loading import AnyStudy
from curricle.tasks.ladder.outcome import ladder_report
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.ladder.results import collect_ladder_results
from curricle.tasks.plan import StudyPlan
from curricle.tasks.report import gather
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


def report_of(plan: AnyPlan, store: Store) -> str:
    """The report, as HTML, of what the store holds now. Raises InputError if it is too little."""
    if isinstance(plan, LadderPlan):
        return ladder_report(plan, store)
    return render_report(gather(plan, store))
