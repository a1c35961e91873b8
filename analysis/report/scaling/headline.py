"""The findings of a ladder in a few sentences, for the page and for the terminal."""

from curricle.analysis import formatting
from curricle.analysis.report.scaling.intervals import budget_name, interval_text
from curricle.analysis.scaling.differences import Difference
from curricle.analysis.scaling.ladder import LadderFindings
from curricle.analysis.scaling.progression import left_out_error


def headline(found: LadderFindings) -> list[str]:
    """The findings in a few sentences, also for the terminal."""
    control = found.tables.control
    lines = [
        _final_line(one, control, budget_name(found.tables, budget))
        for budget, every in found.by_budget.items()
        for one in every
    ]
    for name, finding in found.breaks.items():
        lines.append(f"{name}: {finding.verdict}; {finding.reason}.")
    if found.recommendations:
        sure = [one for one in found.recommendations if one.curriculum != control and one.inside]
        inside = sum(one.inside for one in found.recommendations)
        lines.append(
            f"An arrangement is surely better than {control} at {len(sure)} of {inside} sizes."
        )
    for name, (error, share) in left_out_error(found.left_out).items():
        lines.append(
            f"{name} at a size left out: predicted within {error:.2%} of the loss, "
            f"{formatting.percent(share)} of the intervals held.".replace("%", " %", 1)
        )
    return lines


def _final_line(one: Difference, control: str, budget: str) -> str:
    said = "can't be told from" if one.verdict == "cannot tell" else f"is {one.verdict} than"
    return (
        f"At {budget} {one.curriculum} {said} {control}: {one.mean:+.4f} nats "
        f"({interval_text(one)}) over sizes."
    )
