"""Rank: proxies at each learning rate, the ranking with its intervals, a check at target size."""

from prefect.artifacts import create_table_artifact

from curricle.analysis.ranking import Ranking
from curricle.flows.prepare import prepare
from curricle.flows.stage import artifact_key, stage
from curricle.tasks.plan import Decision, StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("rank", after=[prepare])
def rank(session: Session, plan: StudyPlan) -> Decision:
    """Train the proxies and rank the recipes."""
    step = plan.ranking.step()
    produce_all("training proxies", step.runs)
    produce_all("ranking", [step])
    show_ranking(plan.study.name, plan.ranking.tiny(session.store))
    decision = plan.ranking.decide(session.store)
    confirmation = plan.ranking.confirmation(decision.confirmed)
    produce_all("training targets to confirm", confirmation.runs)
    produce_all("confirming", [confirmation])
    return decision


def show_ranking(study: str, ranking: Ranking) -> None:
    """The ranking as a table artifact on Prefect's page of the flow run."""
    rows = [
        {
            "rank": item.rank,
            "recipe": item.recipe,
            "role": item.role,
            "held-out loss": f"{item.mean:.4f}",
            f"difference to {ranking.baseline}": f"{item.difference:+.4f}",
            "interval": _interval(item.difference_low, item.difference_high),
            "verdict": item.verdict,
            "P(best)": "" if item.probability_best is None else f"{item.probability_best:.2f}",
        }
        for item in ranking.recipes
    ]
    key = artifact_key(study, "ranking")
    create_table_artifact(rows, key=key, description="Recipes at the tiny rate")


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
