"""The report's sections about curricula and the scores they are made from."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from curricle.analysis import formatting, plots
from curricle.analysis.comparison import Comparison
from curricle.analysis.content import ReportContent
from curricle.analysis.costs import ScoringCharge
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value
from curricle.analysis.report.scores import quality_parts

_MOST_TEXT = 400


def curricula_section(content: ReportContent) -> Markup | None:
    """Arms against their controls: intervals, domains, curves, charge for the scores."""
    averages = content.averages()
    if not averages:
        return None
    level = formatting.level(averages[0].confidence)
    parts: list[Part] = [
        markup.paragraph(
            "Every arm reads the same number of tokens under the same schedule; the arms differ in "
            "which samples they read when. Differences are paired by seed.",
            class_="lead",
        ),
        markup.figure(
            plots.to_svg(plots.arms_figure(averages), "arms"),
            f"Mean loss over domains, {level} intervals that hold jointly; ticks are single seeds.",
        ),
        markup.table(_columns(level), _rows(content, averages)),
    ]
    if len({item.domain for item in content.comparisons}) > 1:
        parts.append(
            markup.figure(
                plots.to_svg(plots.arm_domains_figure(content.comparisons), "arm-domains"),
                f"Per domain; what is bold holds jointly over all domains and arms at {level}.",
            )
        )
    parts += [_reads(content), _curves(content), *_charges(content), *_selections(content)]
    parts += [_equal_costs(content), _each(content, content.by_schedule, "Schedule")]
    parts.append(
        _each(content, content.by_rounding, "Weights", mean="Bits per byte", unit="bits per byte")
    )
    return markup.section("curricula", "Curricula", *parts)


def learnability_section(content: ReportContent) -> Markup | None:
    """What the scores are worth, the first one's distribution, and samples to look at."""
    if content.scores is None or not len(content.scores):
        return None
    facts = (
        item
        for label, fact in content.score_facts.items()
        for item in (markup.tag("dt", label), markup.tag("dd", fact))
    )
    columns = [
        Column("Domain", numeric=False),
        Column("Score"),
        Column("Sample", numeric=False),
    ]
    examples: Part = None
    if content.examples:
        examples = markup.table(columns, list(_examples(content)))
    return markup.section(
        "learnability",
        "Scores",
        markup.tag("dl", *facts),
        *(quality_parts(content.score_qualities) if content.score_qualities else ()),
        markup.figure(
            plots.to_svg(plots.score_figure(content.scores, content.score), "scores"),
            f"How {content.score} is distributed in each domain, the highest median first.",
        ),
        examples,
    )


def _columns(level: str, mean: str = "Loss", unit: str = "nats") -> list[Column]:
    return [
        Column("Curriculum", numeric=False),
        Column("against", numeric=False),
        Column(mean),
        Column("Difference", hint=f"{unit}; negative is better"),
        Column(f"{level} interval", hint="simultaneous over all comparisons"),
        Column("p", hint="adjusted for all comparisons"),
        Column("By seed", hint="differences of single seeds"),
        Column("Verdict", numeric=False, hint="with the seeds that would settle it"),
    ]


def _rows(
    content: ReportContent, comparisons: tuple[Comparison, ...]
) -> Iterator[list[Part | Value]]:
    digits = formatting.common_decimals(
        [item.low for item in comparisons], [item.high for item in comparisons]
    )
    for item in comparisons:
        seeds = (formatting.signed(value, digits) or "?" for value in item.seed_differences)
        yield [
            item.arm,
            _control(content, item),
            Value(formatting.number(item.arm_mean, digits), item.arm_mean),
            Value(formatting.signed(item.difference, digits), item.difference),
            Value(formatting.interval(item.low, item.high, digits), item.low),
            Value(formatting.p_value(item.p_value), item.p_value),
            "  ".join(seeds),
            markup.verdict(item.verdict, item.seeds_to_settle),
        ]


def _control(content: ReportContent, item: Comparison) -> str:
    """The arm compared with, and that it has its own scores where the other's are given."""
    own = content.is_transfer(item)
    return f"{item.control} (with given scores against its own)" if own else item.control


def _reads(content: ReportContent) -> Markup | None:
    """Whether samples are drawn with replacement, and what is repeated."""
    if not content.reads:
        return None
    seeds = "the smallest and the largest of the seeds; empty where it isn't known"
    columns = [
        Column("Curriculum", numeric=False),
        Column("Samples drawn", numeric=False),
        Column("Different samples read", hint=seeds),
        Column("Most reads of one sample", hint=seeds),
    ]
    rows: list[list[Part | Value]] = [
        [item.arm, item.drawing, _ends(item.distinct_samples), _ends(item.most_reads)]
        for item in content.reads
    ]
    return markup.table(columns, rows)


def _ends(counts: tuple[int, int] | None) -> Value:
    if counts is None:
        return Value("", None)
    return Value(formatting.span(*counts, "–"), counts[0])


def _curves(content: ReportContent) -> Markup | None:
    if content.curves is None or not len(content.curves):
        return None
    control = content.averages()[0].control
    drawn = plots.curves_figure(content.curves, control, content.curricula)
    return markup.figure(
        plots.to_svg(drawn, "curves"),
        f"Mean over seeds. Right: the difference to {control}, which the left scale hides.",
    )


def _charges(content: ReportContent) -> Iterator[Markup]:
    """What scores cost, once for the curricula that cost the same."""
    alike: dict[ScoringCharge, list[str]] = {}
    for charge in content.charges:
        alike.setdefault(replace(charge, curriculum=""), []).append(charge.curriculum)
    for charge, curricula in alike.items():
        yield markup.paragraph(
            f"Scoring for {formatting.listed(curricula, len(curricula))} cost "
            f"{formatting.flops(charge.scoring_flops)} for each target run, "
            f"{formatting.percent(charge.share)} of what a run of the control costs. For that the "
            f"control could have read {formatting.quantity(charge.extra_tokens)} tokens beyond its "
            f"{formatting.quantity(charge.target_tokens)}, which the comparison above, at equal "
            "target tokens, does not grant.",
            class_="note",
        )


def _equal_costs(content: ReportContent) -> Markup | None:
    """The curricula against as much of another order as their scores and choices would pay for."""
    if not content.equal_costs:
        return None
    columns = [
        Column("At equal cost", numeric=False),
        Column("against", numeric=False),
        Column("by", numeric=False),
        Column("Charge", hint="of a target run"),
        *_columns(formatting.level(content.equal_costs[0].comparison.confidence))[3:],
    ]
    rows = [
        [
            item.curriculum,
            _control(content, item.comparison),
            item.basis + (", extrapolated" if item.is_extrapolated else ""),
            Value(formatting.percent(item.share), item.share),
            *row[3:],
        ]
        for item in content.equal_costs
        for row in _rows(content, (item.comparison,))
    ]
    return markup.tag("div", markup.table(columns, rows), _extrapolation(content))


def _extrapolation(content: ReportContent) -> Markup | None:
    if not any(item.is_extrapolated for item in content.equal_costs):
        return None
    return markup.paragraph(
        "Extrapolated: the line through the control and its longer run goes on beyond the two. "
        "Intervals are about seeds and don't cover what such a line errs.",
        class_="note",
    )


def _each(
    content: ReportContent,
    found: Mapping[str, tuple[Comparison, ...]],
    name: str,
    mean: str = "Loss",
    unit: str = "nats",
) -> Markup | None:
    """The curricula against random order in each of several ways, which a first column names."""
    if not found:
        return None
    first = next(iter(found.values()))[0]
    columns = [
        Column(name, numeric=False),
        *_columns(formatting.level(first.joint_confidence), mean, unit),
    ]
    rows = [
        [label, *row] for label, comparisons in found.items() for row in _rows(content, comparisons)
    ]
    return markup.table(columns, rows)


def _selections(content: ReportContent) -> Iterator[Markup]:
    for item in content.selections:
        yield markup.paragraph(
            f"{item.curriculum} chooses its samples while it trains, which took "
            f"{formatting.percent(item.seconds_share)} on top of the training's own time and "
            f"{formatting.percent(item.flops_share)} on top of its operations.",
            class_="note",
        )


def _examples(content: ReportContent) -> Iterator[list[Part | Value]]:
    for item in content.examples:
        shown = item.text[:_MOST_TEXT] + ("…" if len(item.text) > _MOST_TEXT else "")
        score = Value(formatting.number(item.score, 3), item.score)
        yield [item.domain, score, markup.tag("pre", shown)]
