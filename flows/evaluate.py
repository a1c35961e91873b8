"""Evaluate: perplexity, multiple choice and sharpness of every target."""

from curricle.flows.pretrain import pretrain
from curricle.flows.stage import stage
from curricle.tasks.plan import StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("evaluate", after=[pretrain])
def evaluate(session: Session, plan: StudyPlan) -> None:
    """Evaluate the targets."""
    produce_all(
        "evaluating targets",
        plan.evaluation.steps(plan.curricula.target_runs(plan.ranking.decide(session.store).best)),
    )
