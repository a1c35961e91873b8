"""The whole study: every stage in turn, and the report at the end."""

from curricle.analysis.summary import headline_of
from curricle.core.store import Artifact
from curricle.flows.artifacts import show_text
from curricle.flows.evaluate import evaluate
from curricle.flows.prepare import prepare
from curricle.flows.pretrain import pretrain
from curricle.flows.rank import rank, show_ranking
from curricle.flows.score import score
from curricle.flows.stage import stage
from curricle.tasks.model_registry import register_target
from curricle.tasks.plan import StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.report import SUMMARY, publish, report_step
from curricle.tasks.session import Session


@stage("study", after=[prepare, rank, score, pretrain, evaluate])
def study(session: Session, plan: StudyPlan) -> Artifact:
    """Write the report, show what it says, and register the target that it recommends."""
    step = report_step(plan, session.store)
    produce_all("writing the report", [step])
    publish(session, step)
    register_target(session, plan)
    summary = (session.store.folder(step.artifact) / SUMMARY).read_text(encoding="utf-8")
    tiny = plan.ranking.tiny(session.store)
    assert tiny is not None
    show_ranking(plan.study.name, tiny)
    show_text(plan.study.name, "summary", summary, headline_of(summary))
    return step.artifact
