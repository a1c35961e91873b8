"""The report: one HTML file with everything in it, to be opened from disk without a network."""

from curricle.analysis.content import ReportContent, ScoredText
from curricle.analysis.findings import findings_of
from curricle.analysis.report import markup
from curricle.analysis.report.background import (
    corpus_section,
    cost_section,
    method_section,
    provenance_section,
)
from curricle.analysis.report.band import band_section
from curricle.analysis.report.curricula import curricula_section, learnability_section
from curricle.analysis.report.evaluation import evaluation_sections
from curricle.analysis.report.markup import Markup
from curricle.analysis.report.methods import methods_section
from curricle.analysis.report.page import cautions_list, page
from curricle.analysis.report.progress import progress_section
from curricle.analysis.report.recipes import (
    confirmation_section,
    ranking_section,
    rates_section,
)
from curricle.analysis.report.variants import variants_section
from curricle.analysis.results import AVERAGE

__all__ = ["ReportContent", "ScoredText", "render_report"]


def render_report(content: ReportContent) -> str:
    """The whole page; the same content gives the same bytes.

    Sections without data are left out, so a study can be reported on while it runs. Names, texts
    and YAML are escaped.
    """
    sections = {
        "Progress": progress_section(content),
        "Recipes": ranking_section(content),
        "Rates": rates_section(content),
        "Band": band_section(content),
        "Methods": _methods(content),
        "Variants": variants_section(content),
        "Confirmation": confirmation_section(content),
        "Curricula": curricula_section(content),
        **evaluation_sections(content),
        "Learnability": learnability_section(content),
        "Cost": cost_section(content),
        "Corpus": corpus_section(content),
        "Method": method_section(),
        "Provenance": provenance_section(content),
    }
    facts = " · ".join(fact for fact in (content.status, content.created) if fact)
    return page(
        content.study, facts, sections, _headline(content), cautions_list(content.all_cautions())
    )


def _methods(content: ReportContent) -> Markup | None:
    """Ways of ranking beside the tuned target's ranking."""
    check = content.check
    if check is None or check.methods is None:
        return None
    proxies = {method: found[AVERAGE] for method, found in check.proxies.items()}
    return methods_section(check.methods, proxies, check.target[AVERAGE])


def _headline(content: ReportContent) -> Markup:
    findings = findings_of(content)
    items: list[Markup] = []
    for item in findings.items:
        mark = item.verdict.replace(" ", "-") if item.verdict else None
        items += [
            markup.tag("dt", item.topic),
            markup.tag("dd", markup.prose(item.text), class_=mark),
        ]
    return markup.tag(
        "div", markup.paragraph(findings.headline), markup.tag("dl", *items), class_="headline"
    )
