"""The report's section about a sweep's variants: does the ranking depend on the proxy?"""

from curricle.analysis import plots
from curricle.analysis.content import ReportContent, SweepVariant
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Markup, Part
from curricle.analysis.report.methods import methods_table
from curricle.analysis.report.recipes import agreement_table
from curricle.analysis.results import AVERAGE

LEAD = (
    "The same recipes ranked by other proxies: another family, size or setting, or other held-out "
    "text. A ranking that a small change of the proxy turns around says little about the target."
)
OWN_BAND = (
    "The band was searched with the study's own proxies alone: the tuned rate of another family or "
    "size, and with it what is tiny for it, may be another."
)


def variants_section(content: ReportContent) -> Markup | None:
    """Each variant's ranks beside the study's own, agreement with it and with the target."""
    if content.tiny is None or not any(one.rankings for one in content.variants):
        return None
    own = next(iter(content.rankings()))
    found = {name: x for one in content.variants for name, x in one.by_place().items()}
    parts: list[Part] = [
        markup.paragraph(LEAD, class_="lead"),
        markup.paragraph(OWN_BAND) if content.band else None,
        markup.figure(
            plots.to_svg(plots.ranks_figure(found, content.tiny, "own"), "variant-ranks"),
            f"Candidates in the study's own order ({own}), with each variant's rank among the "
            "recipes that it has. Blue: the variant ranks the recipe better; vermilion: worse.",
        ),
        agreement_table((item, (own, content.tiny)) for item in found.items()),
        *(_against_target(variant) for variant in content.variants),
    ]
    return markup.section("variants", "Variants of the proxy", *parts)


def _against_target(variant: SweepVariant) -> Markup | None:
    check = variant.check
    if check is None or check.methods is None:
        return None
    table = methods_table(check.methods, check.target[AVERAGE])
    return markup.details(f"{variant.name}: methods against the target", table)
