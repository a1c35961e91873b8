"""Which curriculum the report of a ladder recommends, at which size."""

from curricle.analysis import formatting
from curricle.analysis.plots import scaling as plots
from curricle.analysis.plots.style import to_svg
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value
from curricle.analysis.report.scaling.content import LadderContent
from curricle.analysis.scaling.progression import Recommendation, left_out_error


def recommendation_section(content: LadderContent) -> Markup | None:
    """The recommended curriculum at each size, with its expected loss and its stages."""
    found = content.findings
    if not found.recommendations:
        return None
    columns = [
        Column("Parameters"),
        Column("Tokens"),
        Column("Recommended", numeric=False),
        Column("Expected loss"),
        Column("Static mix"),
        Column("Lowest expected", numeric=False),
        Column("log ratio"),
        Column("Stages in turn", numeric=False, wrap=True),
    ]
    rows = [_recommended(one, content) for one in found.recommendations]
    figure = plots.recommendation_figure(found.recommendations, found.tables.control)
    errors = [
        f"{name} at a size left out: root mean square error {error:.4f}, "
        f"{formatting.percent(share)} of the intervals held."
        for name, (error, share) in left_out_error(found.left_out).items()
    ]
    return markup.section(
        "recommendation",
        "Recommendation",
        markup.paragraph(
            "An arrangement is recommended where its whole interval lies below the static mix.",
            class_="lead",
        ),
        markup.figure(to_svg(figure, "recommendation"), "Hollow: beyond what was run."),
        markup.table(columns, rows),
        *(markup.paragraph(line) for line in errors),
    )


def _recommended(one: Recommendation, content: LadderContent) -> list[Part | Value]:
    expected = "" if one.expected is None else f"{one.expected[0]:.4f}"
    if one.expected is not None and one.expected[1] < one.expected[2]:
        expected += f" ({one.expected[1]:.4f} to {one.expected[2]:.4f})"
    best = one.best
    beyond = "" if one.inside else " (beyond what was run)"
    return [
        Value(formatting.quantity(one.parameters), one.parameters),
        Value(formatting.quantity(one.tokens), one.tokens),
        f"{one.curriculum}{beyond}",
        expected,
        "" if one.static_loss is None else f"{one.static_loss:.4f}",
        best.curriculum,
        f"{best.mean:+.4f} ({best.low:+.4f} to {best.high:+.4f})",
        content.schedules.get((one.curriculum, one.parameters), ""),
    ]
