"""The report of a ladder: laws, exponents, breaks, stages, the recommendation."""

from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup
from curricle.analysis.report.page import page
from curricle.analysis.report.scaling.content import LadderContent
from curricle.analysis.report.scaling.differences import (
    differences_section,
    interactions_section,
    stages_section,
)
from curricle.analysis.report.scaling.headline import headline
from curricle.analysis.report.scaling.laws import (
    breaks_section,
    exponents_section,
    laws_section,
)
from curricle.analysis.report.scaling.recommendation import recommendation_section

__all__ = ["LadderContent", "headline", "render_ladder"]


def render_ladder(content: LadderContent) -> str:
    """The whole page; the same content gives the same bytes."""
    found = content.findings
    sections = {
        "Laws": laws_section(found),
        "Exponents": exponents_section(found),
        "Breaks": breaks_section(found),
        "Differences": differences_section(found),
        "Stages": stages_section(found),
        "Recommendation": recommendation_section(content),
        "Schedules": interactions_section(found),
        "Sizes": _sizes(content),
        "Provenance": _provenance(content),
    }
    notes = markup.tag("ul", *(markup.tag("li", note) for note in found.notes), class_="cautions")
    lead = markup.tag(
        "div",
        *(markup.paragraph(markup.prose(line)) for line in headline(found)),
        class_="headline",
    )
    facts = f"{content.status} · {content.created}"
    return page(content.study, facts, sections, lead, notes if found.notes else None)


def _sizes(content: LadderContent) -> Markup | None:
    if not content.sizes:
        return None
    columns = [Column(name, numeric=name != "size") for name in content.sizes[0]]
    return markup.section(
        "sizes", "Sizes", markup.table(columns, [list(row.values()) for row in content.sizes])
    )


def _provenance(content: LadderContent) -> Markup:
    facts = (
        item
        for label, fact in content.provenance.items()
        for item in (markup.tag("dt", label), markup.tag("dd", fact))
    )
    study = markup.details("The study", markup.tag("pre", content.spec))
    return markup.section("provenance", "Provenance", markup.tag("dl", *facts), study)
