"""What isn't there, on the page of a study that is under way or has ended without some runs."""

from curricle.analysis.content import ReportContent
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value

UNDER_WAY = (
    "This study is under way: the page tells what was known at the time above it, and every "
    "verdict may still change."
)
ENDED = (
    "This study has ended without what is missing here: it failed, or needs what failed. Every "
    "verdict rests on the rest. The same command tries again what is missing."
)


def progress_section(content: ReportContent) -> Markup | None:
    """Each stage's steps, made and missing; nothing for a finished study."""
    if all(stage.done == stage.steps for stage in content.progress):
        return None
    columns = [
        Column("Stage", numeric=False),
        Column("Steps"),
        Column("There"),
        Column("Missing" if content.ended else "Not there yet", numeric=False),
    ]
    rows: list[list[Part | Value]] = [
        [
            stage.stage,
            Value(str(stage.steps), stage.steps),
            Value(str(stage.done), stage.done),
            _missing(stage.steps - stage.done, stage.next),
        ]
        for stage in content.progress
    ]
    warning = markup.paragraph(ENDED if content.ended else UNDER_WAY)
    return markup.section("progress", "Progress", warning, markup.table(columns, rows))


def _missing(count: int, named: tuple[str, ...]) -> str:
    more = count - len(named)
    return "; ".join(named) + (f" and {more} more" if more else "")
