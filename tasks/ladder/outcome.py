"""What `curricle scale` says at its end."""

from typing import Any

import numpy as np

from curricle.analysis import formatting
from curricle.analysis.report.scaling import render_ladder
from curricle.analysis.scaling.ladder import recommend
from curricle.analysis.scaling.progression import Recommendation
from curricle.core.errors import InputError
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.tasks.ladder.finding import (
    REPORT,
    SUMMARY,
    ScalingStep,
    content_of,
    findings_of,
    schedule_for,
)
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.ladder.tables import read_tables
from curricle.tasks.outcome import Outcome


def read_ladder_outcome(plan: LadderPlan, store: Store, *, seconds: float) -> Outcome:
    """The finished ladder's summary; `seconds` is what the command took."""
    folder = store.folder(ScalingStep.present(plan, store).artifact)
    report = str(folder / REPORT)
    took = f"took {int(seconds // 60)} min {int(seconds % 60)} s"
    summary = (folder / SUMMARY).read_text(encoding="utf-8")
    text = f"{summary}Report: {report}\n{took}"
    return Outcome(plan.study.name, None, report, seconds, None, text)


def recommendation(
    plan: LadderPlan, store: Store, parameters: float, tokens: float
) -> dict[str, Any]:
    """What to train a model of that size under, for so many tokens; `text` says it in words.

    Raises InputError if no run of the control, or too few runs, are finished.
    """
    _check_begun(plan, store)
    found = recommend(read_tables(plan, store), parameters, tokens)
    schedule = schedule_for(plan, found.curriculum, round(tokens))
    return {**to_plain(found), "schedule": schedule, "text": _in_words(plan, found, schedule)}


def _in_words(plan: LadderPlan, found: Recommendation, schedule: str) -> str:
    control, best = plan.scaling.control, found.best
    size, tokens = map(formatting.quantity, (found.parameters, found.tokens))
    lines = [f"{size} non-embedding parameters, {tokens} tokens: train under {found.curriculum}."]
    if found.curriculum == control:
        lines.append(f"No arrangement is surely better than {control}.")
    mean, low, high = (f"{100 * np.expm1(end):+.2f} %" for end in (best.mean, best.low, best.high))
    lines.append(
        f"Lowest expected: {best.curriculum}, {mean} against {control}'s loss ({low} to {high})."
    )
    if not found.inside:
        lines.append(
            "Beyond what was run: the line over the sizes may not hold there, and with more tokens "
            "than any run's the difference is taken to stay as it was."
        )
    return "\n".join([*lines, schedule])


def ladder_report(plan: LadderPlan, store: Store) -> str:
    """The report on what is there. Raises InputError if no run of the control is."""
    _check_begun(plan, store)
    step = ScalingStep.present(plan, store)
    status = step.status if store.exists(step.artifact) else "unfinished"
    content = content_of(plan, store, findings_of(plan, store), status)
    return render_ladder(content)


def _check_begun(plan: LadderPlan, store: Store) -> None:
    control = plan.scaling.control
    if not any(run.curriculum == control and store.exists(run.step.artifact) for run in plan.runs):
        raise InputError(
            f"store {plan.study.store}: no finished run under {control}",
            expected="runs to report on",
            fix=f"curricle scale {plan.study.name}",
        )
