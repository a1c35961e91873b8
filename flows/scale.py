"""Scale: every run of a ladder, its items, and the laws that they follow."""

from curricle.core.store import Artifact
from curricle.flows.artifacts import show_text
from curricle.flows.stage import nothing_left, stage
from curricle.tasks.ladder.finding import SUMMARY, ScalingStep
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session


@stage("scale", example="curriculum-scaling")
def scale(session: Session, plan: LadderPlan) -> Artifact:
    """Prepare, train trunks and branches, ask the items, fit and report; what fails is left out."""
    store = session.store
    session.start_workers()
    produce_all("preparing", plan.layout(store)["prepare"])
    produce_all("training trunks", plan.trunks, tolerate=True)
    produce_all("training branches", plan.startable(plan.runs, store), tolerate=True)
    produce_all("fine-tuning", plan.startable(plan.tuned, store), tolerate=True)
    step = ScalingStep.present(plan, store)
    if not any(run.curriculum == plan.scaling.control for run in step.runs):
        raise nothing_left(session, f"no run under {plan.scaling.control} to compare with")
    produce_all("asking items", plan.asked(step.runs))
    produce_all("fitting laws", [step])
    summary = (store.folder(step.artifact) / SUMMARY).read_text(encoding="utf-8")
    show_text(plan.study.name, "laws", summary, "Laws")
    return step.artifact
