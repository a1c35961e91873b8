"""The summary on the terminal: plain text, at most 100 columns."""

from collections.abc import Iterator, Sequence

from curricle.analysis import formatting
from curricle.analysis.agreement import Agreement, agreement_of
from curricle.analysis.content import ReportContent
from curricle.analysis.findings import findings_of
from curricle.analysis.methods_text import methods_text
from curricle.analysis.plain_text import WIDTH, table, wrapped
from curricle.analysis.ranked import RankedRecipe, Ranking
from curricle.analysis.results import AVERAGE

_MOST_ROWS = 40
_LAST_ROWS = 5

_HEADER = ("rank", "recipe", "loss", "diff", "interval", "ranks", "P(best)", "verdict")


def render_summary(content: ReportContent, report_path: str | None = None) -> str:
    """The findings and the tables behind them, with the report's path at the end.

    Sections without data are left out.
    """
    sections = [
        _heading(content),
        _findings(content),
        _datasets(content),
        _recipes(content),
        _band(content),
        _confirmation(content),
        _check(content),
        _variants(content),
        _arms(content),
        _costs(content),
        _cautions(content),
        f"Report: {report_path}" if report_path else "",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def headline_of(summary: str) -> str:
    """What a rendered summary advises, on one line."""
    _, headline, *_ = summary.split("\n\n")
    return " ".join(headline.split())


def _heading(content: ReportContent) -> str:
    gap = WIDTH - len(content.study) - len(content.status)
    return f"{content.study}{' ' * max(gap, 2)}{content.status}\n{'=' * WIDTH}"


def _datasets(content: ReportContent) -> str:
    """What preparing made of each recipe; only until there is a ranking to look at."""
    if content.corpus is None or content.tiny is not None:
        return ""
    sizes = content.corpus.groupby("recipe", sort=False)[["documents", "tokens"]].sum()
    rows = [
        [
            str(recipe),
            f"{int(size['documents']):,}",
            f"{int(size['tokens']):,}",
            _dropped(content, str(recipe)),
        ]
        for recipe, size in sizes.iterrows()
    ]
    header = ("recipe", "documents", "tokens", "dropped")
    return "\n".join(["Datasets", table(header, rows, frozenset({0, 3}))])


def _dropped(content: ReportContent, recipe: str) -> str:
    if content.drops is None:
        return ""
    mine = content.drops[content.drops["recipe"] == recipe]
    counts = mine.groupby("reason", sort=False)["documents"].sum()
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def _findings(content: ReportContent) -> str:
    findings = findings_of(content)
    lines = [wrapped(findings.headline), ""]
    lines += [wrapped(item.text, label=item.topic, indent=17) for item in findings.items]
    return "\n".join(lines).rstrip()


def _recipes(content: ReportContent) -> str:
    ranking = content.tiny
    if not ranking:
        return ""
    rows = _ranking_rows(ranking)
    rows += [["-", name, "", "", "", "", "", "order only"] for name in ranking.order_only]
    header = list(_HEADER)
    if standard := content.standard:
        header.append(f"at {formatting.rate(content.standard_rate)}".strip())
        names = [*(item.recipe for item in ranking.recipes), *ranking.order_only]
        for row, name in zip(rows, names, strict=True):
            row.append(str(standard[name].rank) if name in standard else "")
    title = (
        f"Recipes at the tiny rate {formatting.rate(content.tiny_rate)}: difference to "
        f"{ranking.baseline} in nats, {formatting.level(ranking.confidence)} intervals, jointly "
        "(* control)"
    )
    return "\n".join([wrapped(title), *_shortened(header, rows)])


def ranking_lines(ranking: Ranking, value: str = "loss") -> list[str]:
    """One ranking as the lines of a table, `value` over the means; a long one's middle left out."""
    header = [value if name == "loss" else name for name in _HEADER]
    return _shortened(header, _ranking_rows(ranking))


def _shortened(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = table(header, rows, frozenset({1, 7})).split("\n")
    left_out = len(rows) - _MOST_ROWS
    if left_out > 0:
        note = f"      … {left_out} more in the report …"
        lines = [*lines[: _MOST_ROWS - _LAST_ROWS + 1], note, *lines[-_LAST_ROWS:]]
    return lines


def _band(content: ReportContent) -> str:
    """The rates that were tried, and the one to take."""
    band = content.band
    if band is None:
        return ""
    rows = [
        [
            formatting.rate(item.rate),
            formatting.number(item.loss, 4),
            formatting.number(item.spread, 4),
            formatting.number(item.seed_agreement, 2),
            formatting.number(item.next_agreement, 2),
            "" if item.flips is None else f"{item.flips}/{item.pairs}",
            formatting.percent(item.still_fp32),
            formatting.percent(item.still_bf16),
        ]
        for item in band.rates
    ]
    header = ["rate", "loss", "spread", "seeds", "next rate", "flips", "still fp32", "bf16"]
    return "\n".join(["Learning rates", wrapped(band.text), table(header, rows, frozenset({0}))])


def _ranking_rows(ranking: Ranking) -> list[list[str]]:
    digits = formatting.common_decimals(
        [item.difference_low for item in ranking.recipes],
        [item.difference_high for item in ranking.recipes],
    )
    return [_recipe_row(item, digits) for item in ranking.recipes]


def _recipe_row(item: RankedRecipe, digits: int) -> list[str]:
    base = item.verdict == "baseline"
    low, high = (None, None) if base else (item.difference_low, item.difference_high)
    return [
        str(item.rank),
        item.recipe if item.is_candidate else f"{item.recipe} *",
        formatting.number(item.mean, digits),
        "" if base else formatting.signed(item.difference, digits),
        formatting.interval(low, high, digits),
        formatting.span(item.best_rank, item.worst_rank) if item.is_candidate else "",
        formatting.percent(item.probability_best),
        _with_seeds(item.verdict, item.seeds_to_settle),
    ]


def _confirmation(content: ReportContent) -> str:
    ranking = content.confirmation
    if not ranking:
        return ""
    title = f"Confirmation at the target's size: difference to {ranking.baseline} in nats"
    return f"{wrapped(title)}\n{table(_HEADER, _ranking_rows(ranking), frozenset({1, 7}))}"


def _check(content: ReportContent) -> str:
    """The ways of ranking beside the tuned target, on all candidates and the mean over domains."""
    check = content.check
    if check is None or check.methods is None:
        return ""
    return methods_text(check.methods, check.methods.of(AVERAGE), check.target[AVERAGE])


def _variants(content: ReportContent) -> str:
    """How far each variant of the proxy ranks as the study's own does."""
    if content.tiny is None or not content.variants:
        return ""
    found = {name: x for one in content.variants for name, x in one.by_place().items()}
    rows = [
        _variant(name, agreement_of(ranking, content.tiny))
        for name, ranking in found.items()
        if sum(item.recipe in content.tiny for item in ranking.candidates) >= 2
    ]
    title = "Variants of the proxy, against the study's own ranking at the tiny rate (candidates)"
    header = ("variant", "n", "rho", "pairs alike", "flips", "sure")
    note = ["Their rates are by the study's own band; their own tuned rate may be another."]
    shown = [title, table(header, rows, frozenset({0})), *(note if content.band else [])]
    return "\n".join(shown)


def _variant(name: str, found: Agreement) -> list[str]:
    return [
        name,
        str(len(found.recipes)),
        formatting.number(found.spearman, 2),
        formatting.percent(found.decision_accuracy),
        str(len(found.flips)),
        str(len(found.sure_flips)),
    ]


def _arms(content: ReportContent) -> str:
    comparisons = content.averages()
    if not comparisons:
        return ""
    digits = formatting.common_decimals(
        [item.low for item in comparisons], [item.high for item in comparisons]
    )
    rows = [
        [
            item.arm,
            item.control + (", its own scores" if content.is_transfer(item) else ""),
            formatting.signed(item.difference, digits),
            formatting.interval(item.low, item.high, digits),
            item.verdict,
            str(item.seeds_to_settle or ""),
        ]
        for item in comparisons
    ]
    header = ["curriculum", "against", "diff", "interval", "verdict", "seeds"]
    level = formatting.level(comparisons[0].confidence)
    title = f"Curricula: mean loss over domains, paired by seed, {level} intervals, jointly"
    return f"{title}\n{table(header, rows, frozenset({0, 1, 4}))}"


def _costs(content: ReportContent) -> str:
    if not content.costs or not content.costs.stages:
        return ""
    rows = [
        [
            cost.stage,
            str(cost.runs),
            formatting.quantity(cost.tokens),
            formatting.flops(cost.flops),
            formatting.percent(content.costs.share(cost.stage)),
        ]
        for cost in content.costs.stages
    ]
    return "Cost\n" + table(["stage", "runs", "tokens", "training", "share"], rows, frozenset({0}))


def _cautions(content: ReportContent) -> str:
    lines = list(_caution_lines(content))
    return "\n".join(["Cautions", *lines]) if lines else ""


def _caution_lines(content: ReportContent) -> Iterator[str]:
    for place, caution in content.all_cautions():
        yield wrapped(f"{caution.text} ({place})" if place else caution.text, label="- ", indent=2)


def _with_seeds(verdict: str, seeds: int | None) -> str:
    if verdict != "cannot tell":
        return verdict
    return f"{verdict} ({formatting.counted(seeds, 'seed')})" if seeds else verdict
