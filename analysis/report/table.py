"""The report on a table of results: its rankings, and its methods against the target."""

from collections.abc import Mapping

from curricle.analysis import plots
from curricle.analysis.measure import Measure
from curricle.analysis.ranked import Ranking
from curricle.analysis.report import markup
from curricle.analysis.report.background import method_section
from curricle.analysis.report.markup import Markup, Part
from curricle.analysis.report.methods import TITLE, methods_section
from curricle.analysis.report.page import cautions_list, page
from curricle.analysis.report.recipes import (
    BARS,
    domains_heat,
    interval_digits,
    pairs_details,
    ranking_columns,
    ranking_lead,
    ranking_row,
)
from curricle.analysis.results import AVERAGE
from curricle.analysis.table_ranking import TARGET, TableRanking


def render_table_report(title: str, result: TableRanking) -> str:
    """The whole page, in one file; the same result gives the same bytes."""
    by_domain = {**result.proxies, TARGET: result.target}
    sections = {TITLE: _methods(result)}
    for place, (name, ranking) in enumerate(result.averages().items()):
        heading = f"Ranking by {name}"
        sections[heading] = _ranking(
            heading, f"ranking-{place}", ranking, by_domain[name], result.measure
        )
    sections["Method"] = method_section(result.measure)
    return page(title, "", sections, cautions_list(result.cautions()))


def _methods(result: TableRanking) -> Markup | None:
    if not result.methods:
        return None
    proxies = {name: rankings[AVERAGE] for name, rankings in result.proxies.items()}
    return methods_section(result.methods, proxies, result.target[AVERAGE], result.measure)


def _ranking(
    heading: str,
    name: str,
    ranking: Ranking,
    by_domain: Mapping[str, Ranking],
    measure: Measure,
) -> Markup:
    """One ranking: plot, table, domains, pairs."""
    digits = interval_digits(ranking)
    domains = {domain: one for domain, one in by_domain.items() if domain != AVERAGE}
    parts: list[Part] = [
        markup.paragraph(ranking_lead(ranking, measure=measure), class_="lead"),
        markup.figure(plots.to_svg(plots.ranking_figure(ranking, measure), name), BARS),
        markup.table(
            ranking_columns(ranking, measure),
            [ranking_row(item, digits) for item in ranking.recipes],
        ),
    ]
    if domains:
        parts.append(domains_heat(ranking, domains, f"{name}-domains", measure))
    return markup.section(markup.anchor(heading), heading, *parts, pairs_details(ranking))
