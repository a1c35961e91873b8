"""Prepare: corpus, tokenizer, validation set, one dataset per recipe, questions."""

from curricle.flows.stage import stage
from curricle.tasks.curricula_check import check_candidates
from curricle.tasks.plan import StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("prepare")
def prepare(session: Session, plan: StudyPlan) -> None:
    """Turn the study's sources into token datasets."""
    trains = session.results["flow"] != "prepare"
    if trains and plan.ranking.tiny(session.store) is None:
        session.start_workers()  # their imports take seconds, while the corpus is read
    produce_all("reading the corpus", [plan.preparation.corpus])
    produce_all("training the tokenizer", [plan.preparation.tokenizer])
    produce_all("preparing recipes", plan.preparation.steps)
    check_candidates(plan, session.store)
    session.engine.close()  # its processes would idle while models train
