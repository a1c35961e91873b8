"""Score: learnability of every sample of the best recipe, with a proxy per seed."""

from curricle.flows.rank import rank
from curricle.flows.stage import stage
from curricle.tasks.plan import StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("score", after=[rank])
def score(session: Session, plan: StudyPlan) -> None:
    """Train the scoring proxies and score the samples."""
    if not plan.study.curricula:
        return
    scores = list(plan.curricula.scores(plan.ranking.decide(session.store).best).values())
    produce_all("training scoring proxies", [step.proxy for step in scores])
    produce_all("scoring samples", scores)
