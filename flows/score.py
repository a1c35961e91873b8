"""Score: every sample of the best recipe, where a proxy is needed with one per seed."""

from curricle.flows.rank import rank
from curricle.flows.stage import stage
from curricle.tasks.curricula_check import check_recipe
from curricle.tasks.plan import StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("score", after=[rank])
def score(session: Session, plan: StudyPlan) -> None:
    """Train the scoring proxies and score the samples."""
    recipe = plan.ranking.decide(session.store).best
    check_recipe(plan, session.store, recipe)
    produce_all("scoring samples", plan.curricula.scoring.steps(recipe))
