"""Scale: every run of a ladder, its items, and the laws that they follow."""

from curricle.core.store import Artifact
from curricle.flows.artifacts import show_text
from curricle.flows.stage import stage
from curricle.tasks.ladder.finding import SUMMARY, ScalingStep
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("scale", example="curriculum-scaling")
def scale(session: Session, plan: LadderPlan) -> Artifact:
    """Prepare, train trunks and branches, ask the items, fit and report."""
    layout = plan.layout(session.store)
    session.start_workers()
    produce_all("preparing", layout["prepare"])
    produce_all("training trunks", plan.trunks)
    produce_all("training branches", [run.step for run in plan.runs])
    produce_all("fine-tuning", [run.step for run in plan.tuned])
    produce_all("asking items", plan.asked([*plan.runs, *plan.tuned]))
    step = ScalingStep(plan)
    produce_all("fitting laws", [step])
    summary = (session.store.folder(step.artifact) / SUMMARY).read_text(encoding="utf-8")
    show_text(plan.study.name, "laws", summary, "Laws")
    return step.artifact
