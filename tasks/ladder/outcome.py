"""What `curricle scale` says at its end."""

from curricle.analysis.report.scaling import render_ladder
from curricle.core.errors import InputError
from curricle.core.store import Store
from curricle.tasks.ladder.finding import REPORT, SUMMARY, ScalingStep, content_of, findings_of
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.outcome import Outcome


def read_ladder_outcome(plan: LadderPlan, store: Store, *, seconds: float) -> Outcome:
    """The finished ladder's summary; `seconds` is what the command took."""
    folder = store.folder(ScalingStep(plan).artifact)
    report = str(folder / REPORT)
    took = f"took {int(seconds // 60)} min {int(seconds % 60)} s"
    summary = (folder / SUMMARY).read_text(encoding="utf-8")
    text = f"{summary}Report: {report}\n{took}"
    return Outcome(plan.study.name, None, report, seconds, None, text)


def ladder_report(plan: LadderPlan, store: Store) -> str:
    """The report on what is there. Raises InputError if no run of the control is."""
    control = plan.scaling.control
    if not any(run.curriculum == control and store.exists(run.step.artifact) for run in plan.runs):
        raise InputError(
            f"store {plan.study.store}: no finished run under {control}",
            expected="runs to report on",
            fix=f"curricle scale {plan.study.name}",
        )
    done = store.exists(ScalingStep(plan).artifact)
    content = content_of(
        plan, store, findings_of(plan, store), "finished" if done else "unfinished"
    )
    return render_ladder(content)
