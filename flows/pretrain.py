"""Pretrain: the target in random order, under each curriculum, and under its controls."""

from curricle.flows.score import score
from curricle.flows.stage import stage
from curricle.tasks.plan import StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("pretrain", after=[score])
def pretrain(session: Session, plan: StudyPlan) -> None:
    """Train every arm with every seed."""
    recipe, curricula = plan.ranking.decide(session.store).best, plan.curricula
    produce_all("training targets", curricula.target_runs(recipe))
    produce_all("training targets at other costs and schedules", curricula.side_runs(recipe))
