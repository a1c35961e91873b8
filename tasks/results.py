"""The tidy table of everything a study has measured so far."""

import io

import pandas as pd

from curricle.analysis.results import results_table, to_csv, to_json
from curricle.core.store import Store
from curricle.tasks.evaluation import EvaluationStep
from curricle.tasks.plan import StudyPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.train import TrainingStep

RowStep = TrainingStep | EvaluationStep | LearnabilityStep


def collect_results(plan: StudyPlan, store: Store) -> pd.DataFrame:
    """The tidy table of every finished run and evaluation of the study.

    A run that two stages need (the random arm of the best recipe confirms the ranking too) has rows
    in both.
    """
    decision = plan.ranking.decide(store)
    targets = plan.curricula.target_runs(decision.best)
    runs = [
        *plan.band.runs,
        *(run for ranking in plan.rankings for run in ranking.runs()),
        *(run for target in plan.targets for run in target.tuning_runs()),
        *(run for target in plan.targets for run in target.runs(store, decision.confirmed)),
        *targets,
        *plan.curricula.side_runs(decision.best),
    ]
    steps: list[RowStep] = [*runs, *plan.evaluation.steps(targets)]
    steps += plan.curricula.proxy_scores(decision.best)
    finished = [step for step in steps if store.exists(step.artifact)]
    return results_table(row for step in finished for row in step.rows(store))


def render_results(table: pd.DataFrame, file_format: str) -> bytes:
    """The table as `csv`, `json` or `parquet`."""
    if file_format == "parquet":
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False, compression="zstd")
        return buffer.getvalue()
    return (to_json(table) if file_format == "json" else to_csv(table)).encode()
