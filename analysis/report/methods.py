"""Methods in the report: who predicts the target's ranking, how surely, at what cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from curricle.analysis import formatting, plots
from curricle.analysis.agreement import Flip
from curricle.analysis.measure import LOSS, Measure
from curricle.analysis.methods import MethodAgreement, MethodDifference, Methods
from curricle.analysis.methods_text import BEYOND_THE_CEILING, at_equal_flops
from curricle.analysis.ranked import Ranking
from curricle.analysis.reliability import Ceiling
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value
from curricle.analysis.results import AVERAGE, POOLED
from curricle.core.bootstrap import Interval

TITLE = "Proxies against the target"
_MOST_FLIPS = 300

_COLUMNS = (
    Column("Method", numeric=False),
    Column("Where", numeric=False, hint="mean over domains, a domain, or a curation dimension"),
    Column("Recipes"),
    Column("Spearman", hint="with its 95 % interval over recipes, from 10 on"),
    Column("Ceiling", hint="the most to be expected of it, by the target's own reliability there"),
    Column("p", hint="one-sided permutation test of no agreement"),
    Column("with the truth", hint="Spearman with the target's true losses, over its noise"),
    Column("Kendall", hint="tau-b"),
    Column("Pairs right", hint="decision accuracy, interval over the target's noise"),
    Column("Regret@1", hint="what the method's best costs{unit}, and the end of its interval"),
    Column("Regret@3"),
    Column("Training", hint="FLOPs of all of the method's runs"),
)


def methods_section(
    methods: Methods, proxies: Mapping[str, Ranking], target: Ranking, measure: Measure = LOSS
) -> Markup:
    """Heat maps, the table of all methods and places, their differences, and every flip."""
    parts: list[Part] = [
        markup.paragraph(_lead(methods), class_="lead"),
        markup.figure(
            plots.to_svg(plots.ranks_figure(proxies, target), "method-ranks"),
            "Candidates in the target's order, with the rank that each method gives them. Blue: "
            "the method ranks the recipe better than the target does; vermilion: worse.",
        ),
        markup.figure(
            plots.to_svg(plots.agreement_figure(methods.agreements), "method-agreement"),
            "Bold: the interval over recipes leaves zero out.",
        ),
        methods_table(methods, target, measure),
    ]
    parts += [markup.paragraph(text) for text in at_equal_flops(methods.of(AVERAGE))]
    if methods.differences:
        rows = (_difference(item) for item in methods.differences)
        parts.append(markup.table(_in_unit(_DIFFERENCE, measure), rows))
    parts += [_flips(item, measure) for item in methods.of(AVERAGE) if item.agreement.flips]
    return markup.section(markup.anchor(TITLE), TITLE, *parts)


def methods_table(methods: Methods, target: Ranking, measure: Measure = LOSS) -> Markup:
    """Every method in every place: agreement, regret, cost."""
    return markup.table(_in_unit(_COLUMNS, measure), _rows(methods, target))


def _in_unit(columns: Sequence[Column], measure: Measure) -> list[Column]:
    """The columns, `{unit}` in their hints filled in."""
    return [
        replace(column, hint=column.hint and column.hint.format(unit=measure.comma_unit))
        for column in columns
    ]


def _lead(methods: Methods) -> str:
    text = "Candidates alone count: any method tells a bad control from the rest."
    if ceiling := methods.ceiling:
        text += (
            f" The target's own ranking has a reliability of {_shown(ceiling.reliability, 2)}, so "
            f"no method can be expected to agree with it by more than rho = "
            f"{_shown(ceiling.spearman, 2)}. {BEYOND_THE_CEILING}"
        )
    else:
        text += " The target has no repeated runs, so its own reliability is not known."
    return text


def _rows(methods: Methods, target: Ranking) -> Iterator[list[Part | Value]]:
    digits = formatting.decimals_for(target.standard_deviation)
    for item in methods.agreements:
        yield [
            item.method,
            item.domain if item.group == POOLED else item.group,
            str(len(item.agreement.recipes)),
            _value(item.spearman, 2),
            _ceiling(methods.ceiling_at(item.domain, item.group)),
            formatting.p_value(item.agreement.spearman_p),
            _ends(item.true_spearman),
            "" if item.kendall is None else formatting.number(item.kendall.value, 2),
            _value(item.true_decision_accuracy, 2),
            _at_most(item.regret.get("1"), digits),
            _at_most(item.regret.get("3"), digits),
            Value("" if item.flops is None else formatting.flops(item.flops), item.flops),
        ]


_DIFFERENCE = (
    Column("Methods compared", numeric=False),
    Column("Spearman", hint="difference, Zou's interval over recipes"),
    Column("Pairs right", hint="difference, over the target's noise"),
    Column("Regret@1", hint="difference{unit}, over the target's noise"),
    Column("Verdict", numeric=False, hint="on Spearman, jointly over all methods compared"),
)
_FLIPS = (
    Column("Recipe", numeric=False),
    Column("against", numeric=False),
    Column("By the method", hint="difference{unit}"),
    Column("By the target", hint="difference{unit}"),
    Column("Sure", numeric=False),
)


def _difference(item: MethodDifference) -> list[Part | Value]:
    return [
        f"{item.first} minus {item.second}",
        _value(item.spearman, 2),
        _value(item.true_decision_accuracy, 2),
        _value(item.regret, 4),
        markup.verdict(item.verdict),
    ]


def _flips(item: MethodAgreement, measure: Measure) -> Markup:
    """The pairs that a method orders otherwise than the target, surest and largest first."""
    flips = sorted(
        item.agreement.flips, key=lambda flip: (not flip.sure, -abs(flip.target_difference))
    )
    count = len(item.agreement.recipes)
    sure = len(item.agreement.sure_flips)
    pairs = count * (count - 1) // 2
    summary = f"Flips of {item.method}: {len(flips)} of {pairs} pairs, {sure} sure"
    note = f"The first {_MOST_FLIPS}." if len(flips) > _MOST_FLIPS else None
    rows = (_flip(flip) for flip in flips[:_MOST_FLIPS])
    return markup.details(
        summary,
        markup.paragraph(note) if note else None,
        markup.table(_in_unit(_FLIPS, measure), rows),
    )


def _flip(flip: Flip) -> list[Part | Value]:
    words = {(True, True): "both", (True, False): "the method", (False, True): "the target"}
    return [
        flip.first,
        flip.second,
        Value(formatting.signed(flip.proxy_difference, 4), flip.proxy_difference),
        Value(formatting.signed(flip.target_difference, 4), flip.target_difference),
        words.get((flip.sure_in_proxy, flip.sure_in_target), "neither"),
    ]


def _value(interval: Interval | None, digits: int) -> Value:
    return Value("", None) if interval is None else Value(_shown(interval, digits), interval.value)


def _ceiling(ceiling: Ceiling | None) -> Value:
    return _value(ceiling.spearman if ceiling else None, 2)


def _at_most(interval: Interval | None, digits: int) -> Value:
    if interval is None or interval.high is None:
        return _value(interval, digits)
    text = f"{interval.value:.{digits}f} (≤ {interval.high:.{digits}f})"
    return Value(text, interval.value)


def _shown(interval: Interval, digits: int) -> str:
    text = formatting.number(interval.value, digits)
    if interval.low is None or interval.high is None:
        return text
    low, high = (formatting.number(end, digits) for end in (interval.low, interval.high))
    return f"{text} ({low} to {high})"


def _ends(interval: Interval | None) -> Value:
    if interval is None or interval.low is None or interval.high is None:
        return Value("", None)
    return Value(f"{interval.low:.2f} to {interval.high:.2f}", interval.value)
