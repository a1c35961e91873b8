"""The report's sections about recipes: ranking, rates, domains, pairs, confirmation."""

import itertools
from collections.abc import Iterable, Iterator, Mapping

from curricle.analysis import formatting, plots
from curricle.analysis.agreement import Agreement, agreement_of
from curricle.analysis.content import ReportContent
from curricle.analysis.measure import LOSS, Measure
from curricle.analysis.ranked import PairComparison, RankedRecipe, Ranking
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value

Named = tuple[str, Ranking]
"""A ranking and where it was made."""

_MOST_PAIRS = 500
_MOST_IN_FLOW = 60

BARS = (
    "Bars are comparison intervals: two recipes differ surely if their bars don't overlap. "
    "The band is the baseline's bar, ticks are single seeds, hollow dots are controls."
)


def ranking_section(content: ReportContent) -> Markup | None:
    """The ranking at the tiny rate: plot, table, domains, pairs."""
    ranking = content.tiny
    if not ranking:
        return None
    parts: list[Part] = [
        markup.paragraph(ranking_lead(ranking, content.tiny_rate), class_="lead"),
        markup.figure(
            plots.to_svg(plots.ranking_figure(ranking), "ranking"),
            BARS,
        ),
        markup.table(_columns(content), _rows(content, ranking)),
    ]
    if content.domains:
        parts.append(domains_heat(ranking, content.domains, "domains"))
    parts.append(pairs_details(ranking))
    return markup.section("recipes", "Recipes", *parts)


def rates_section(content: ReportContent) -> Markup | None:
    """The tiny against the standard rate, and both against the target's size."""
    rankings = content.rankings()
    if len(rankings) < 2:
        return None
    parts: list[Part] = [
        markup.paragraph(
            "Usual practice ranks recipes at one standard learning rate; a tiny rate ranks them by "
            "how well each one's gradient serves the validation data. Where the two disagree, the "
            "target's size decides.",
            class_="lead",
        )
    ]
    if max(len(ranking.recipes) for ranking in rankings.values()) <= _MOST_IN_FLOW:
        parts.append(
            markup.figure(
                plots.to_svg(plots.rank_flow_figure(rankings), "flow"),
                "Each line is a recipe, placed by its rank. Blue: it changes places with another "
                "and both sides are sure. Dark: it changes places, perhaps by chance.",
            )
        )
    parts.append(agreement_table(itertools.combinations(rankings.items(), 2)))
    if content.tiny and content.tiny.seed_agreement is not None and len(content.tiny.seeds) > 1:
        parts.append(
            markup.figure(
                plots.to_svg(plots.seeds_figure(content.tiny), "seeds"),
                "How alike the seeds rank the candidates at the tiny rate: the ceiling of any "
                "agreement with another ranking.",
            )
        )
    return markup.section("rates", "Tiny against standard rate", *parts)


def confirmation_section(content: ReportContent) -> Markup | None:
    """Some recipes, trained at the target's size."""
    ranking = content.confirmation
    if not ranking:
        return None
    digits = interval_digits(ranking)
    rows = [ranking_row(item, digits) for item in ranking.recipes]
    lead = (
        f"{formatting.counted(len(ranking.recipes), 'recipe')} trained at the target's size, with "
        f"{formatting.counted(len(ranking.seeds), 'seed')} each: does the proxies' order hold? "
        f"Differences are to {ranking.baseline}."
    )
    return markup.section(
        "confirmation",
        "Confirmation at the target's size",
        markup.paragraph(lead, class_="lead"),
        markup.table(ranking_columns(ranking), rows),
    )


def ranking_lead(ranking: Ranking, rate: float | None = None, measure: Measure = LOSS) -> str:
    """What was ranked, and how much runs scatter."""
    at = f" at {formatting.rate(rate)}" if rate else ""
    text = (
        f"{_mean_of(measure)} of {len(ranking.recipes)} recipes{at}, "
        f"{formatting.counted(len(ranking.seeds), 'seed')} each."
    )
    if ranking.standard_deviation is not None:
        digits = formatting.decimals_for(ranking.standard_deviation)
        text += (
            f" Runs scatter by {ranking.standard_deviation:.{digits}f} {measure.unit}".rstrip()
            + " once recipe and seed are accounted for "
            f"({ranking.degrees_of_freedom} degrees of freedom)."
        )
    return text


def _mean_of(measure: Measure) -> str:
    return "Mean value (higher is better)" if measure.higher_is_better else "Mean validation loss"


def ranking_columns(ranking: Ranking, measure: Measure = LOSS) -> list[Column]:
    """The columns of `ranking_row`."""
    level = formatting.level(ranking.confidence)
    return [
        Column("Rank"),
        Column("Recipe", numeric=False),
        Column(
            measure.name,
            hint=f"mean over seeds of the unweighted mean over domains{measure.comma_unit}",
        ),
        Column(
            "Difference",
            hint=f"to {ranking.baseline}{measure.comma_unit}; {measure.better_sign} is better",
        ),
        Column(f"{level} interval", hint="of the difference; simultaneous over all pairs"),
        Column("p", hint="adjusted for all pairs"),
        Column("Rank set", hint="ranks that the intervals leave open"),
        Column("P(best)", hint="chance of being the best candidate"),
        Column("Verdict", numeric=False, hint="against the baseline, with the seeds to settle it"),
    ]


def _columns(content: ReportContent) -> list[Column]:
    columns = ranking_columns(content.tiny) if content.tiny else []
    if content.standard:
        at = f"At {formatting.rate(content.standard_rate)}" if content.standard_rate else "Standard"
        columns.append(Column(at, hint="rank and verdict at the standard rate"))
    return columns


def _rows(content: ReportContent, ranking: Ranking) -> Iterator[list[Part | Value]]:
    digits = interval_digits(ranking)
    for item in ranking.recipes:
        yield ranking_row(item, digits) + _standard_cells(content, item.recipe)
    for name in ranking.order_only:
        note = markup.tag("span", "order only", class_="verdict")
        empty: list[Part | Value] = [Value("", None) for _ in range(6)]
        yield [Value("–", None), name, *empty, note, *_standard_cells(content, name)]


def interval_digits(ranking: Ranking) -> int:
    """Decimals for the differences of a ranking."""
    return formatting.common_decimals(
        [item.difference_low for item in ranking.recipes],
        [item.difference_high for item in ranking.recipes],
    )


def ranking_row(item: RankedRecipe, digits: int) -> list[Part | Value]:
    """One recipe of a ranking as the cells of a table."""
    base = item.verdict == "baseline"
    low, high = (None, None) if base else (item.difference_low, item.difference_high)
    role = None if item.is_candidate else markup.tag("small", f" {item.role}", class_="role")
    return [
        Value(str(item.rank), item.rank),
        markup.join((item.recipe, role)),
        Value(formatting.number(item.mean, digits), item.mean),
        Value("" if base else formatting.signed(item.difference, digits), item.difference),
        Value(formatting.interval(low, high, digits), low),
        Value("" if base else formatting.p_value(item.p_value), item.p_value),
        Value(_rank_set(item), item.best_rank),
        Value(formatting.percent(item.probability_best), item.probability_best),
        markup.verdict(item.verdict, item.seeds_to_settle),
    ]


def _standard_cells(content: ReportContent, recipe: str) -> list[Part | Value]:
    if not content.standard:
        return []
    if recipe not in content.standard:
        return [Value("", None)]
    item = content.standard[recipe]
    return [Value(markup.join((f"{item.rank} ", markup.sign(item.verdict))), item.rank)]


def domains_heat(
    ranking: Ranking, domains: Mapping[str, Ranking], name: str, measure: Measure = LOSS
) -> Markup:
    """Differences by recipe and domain as a heat map; `name` makes its ids unique in the page."""
    level = formatting.level(next(iter(domains.values())).confidence)
    return markup.figure(
        plots.to_svg(plots.domains_figure(ranking, domains, measure), name),
        f"Per domain each interval is at {level}, so that all domains hold jointly at "
        f"{formatting.level(ranking.confidence)}. Blue is better than {ranking.baseline}.",
    )


def pairs_details(ranking: Ranking) -> Markup:
    """All pairs to unfold, or those among the first recipes if they are too many for a page."""
    shown = ranking.pairs
    note: Part = None
    if len(shown) > _MOST_PAIRS:
        count = int((2 * _MOST_PAIRS) ** 0.5)
        first = {item.recipe for item in ranking.recipes[:count]}
        shown = tuple(pair for pair in shown if {pair.first, pair.second} <= first)
        note = markup.paragraph(
            f"The pairs of the first {count} recipes; all {len(ranking.pairs):,} are in the "
            "ranking's ranking.json."
        )
    digits = formatting.common_decimals((pair.low for pair in shown), (pair.high for pair in shown))
    columns = [
        Column("Recipe", numeric=False),
        Column("against", numeric=False),
        Column("Difference"),
        Column(f"{formatting.level(ranking.confidence)} interval"),
        Column("p"),
        Column("Verdict", numeric=False),
    ]
    rows = (_pair(pair, digits) for pair in shown)
    summary = f"All pairs ({len(ranking.pairs):,})"
    return markup.details(summary, note, markup.table(columns, rows))


def _pair(pair: PairComparison, digits: int) -> list[Part | Value]:
    return [
        pair.first,
        pair.second,
        Value(formatting.signed(pair.difference, digits), pair.difference),
        Value(formatting.interval(pair.low, pair.high, digits), pair.low),
        Value(formatting.p_value(pair.p_value), pair.p_value),
        markup.verdict(pair.verdict, pair.seeds_to_settle),
    ]


_AGREEMENT = [
    Column("Candidates at", numeric=False),
    Column("Recipes"),
    Column("Spearman", hint="with 95 % interval from 10 recipes on"),
    Column("p", hint="one-sided permutation test of no agreement"),
    Column("Kendall", hint="tau-b"),
    Column("Decision accuracy", hint="share of pairs ordered alike"),
    Column("Regret@1", hint="loss of the first one's best in the second, above the second's best"),
    Column("Pairs flipped", hint="and how many of them both sides are sure of"),
]


def agreement_table(pairs: Iterable[tuple[Named, Named]]) -> Markup:
    """How far the first ranking of each pair predicts the second, where they share recipes."""
    rows = [
        _agreement(f"{first} → {second}", agreement_of(proxy, target))
        for (first, proxy), (second, target) in pairs
        if sum(item.recipe in target for item in proxy.candidates) >= 2
    ]
    return markup.table(_AGREEMENT, rows)


def _agreement(label: str, found: Agreement) -> list[Part | Value]:
    spearman = formatting.number(found.spearman, 2)
    if found.spearman_low is not None and found.spearman_high is not None:
        spearman += f" ({found.spearman_low:.2f} to {found.spearman_high:.2f})"
    note = markup.tag("small", found.note, class_="note-line") if found.note else None
    return [
        markup.join((label, note)),
        str(len(found.recipes)),
        spearman,
        formatting.p_value(found.spearman_p),
        formatting.number(found.kendall, 2),
        formatting.percent(found.decision_accuracy),
        formatting.number(found.regret[0], 4),
        f"{len(found.flips)} ({len(found.sure_flips)} sure)",
    ]


def _rank_set(item: RankedRecipe) -> str:
    """A candidate's rank set; a control isn't ranked but compared with the baseline."""
    return formatting.span(item.best_rank, item.worst_rank, "–") if item.is_candidate else ""
