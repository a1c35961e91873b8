"""A table's rankings as plain text, at most 100 columns."""

from collections.abc import Iterator

from curricle.analysis import formatting
from curricle.analysis.methods import POOLED, MethodAgreement, Methods
from curricle.analysis.ranked import Ranking
from curricle.analysis.results import AVERAGE
from curricle.analysis.summary import ranking_lines, table, wrapped
from curricle.analysis.table_ranking import TARGET, TableRanking
from curricle.core.bootstrap import Interval

_MOST_FLIPS = 8
_MOST_GROUPS = 60


def render_table_ranking(result: TableRanking) -> str:
    """The rankings, the methods against the target, flips and cautions; parts without data out."""
    sections = [
        *(_ranking(method, ranking) for method, ranking in result.averages().items()),
        _methods(result),
        _differences(result.methods),
        _flips(result.methods),
        "\n".join(_cautions(result)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _with_interval(interval: Interval | None, digits: int) -> str:
    """`0.91 (0.78 to 0.97)`, without the brackets if there is no interval."""
    if interval is None:
        return ""
    text = formatting.number(interval.value, digits)
    if interval.low is None or interval.high is None:
        return text
    low, high = (formatting.number(end, digits) for end in (interval.low, interval.high))
    return f"{text} ({low} to {high})"


def _ranking(method: str, ranking: Ranking) -> str:
    seeds = formatting.counted(len(ranking.seeds), "seed")
    title = (
        f"{method}: mean over domains, {seeds}, difference to {ranking.baseline}, "
        f"{formatting.level(ranking.confidence)} intervals, jointly (* control)"
    )
    return "\n".join([wrapped(title), *ranking_lines(ranking)])


def _methods(result: TableRanking) -> str:
    if not result.methods:
        return ""
    shown = result.methods.agreements[:_MOST_GROUPS]
    ranking = result.target[AVERAGE]
    digits = formatting.decimals_for(ranking.standard_deviation)
    rows = [_method(item, digits) for item in shown]
    header = ("method", "where", "n", "rho", "true rho", "pairs right", "regret@1", "FLOP")
    lines = [
        f"Agreement with the {TARGET} ranking (candidates; rho's interval over recipes from 10 on,",
        "the others' over the target's noise)",
        table(header, rows, frozenset({0, 1})),
    ]
    left_out = len(result.methods.agreements) - len(shown)
    lines += [f"… {left_out} more with --json"] if left_out > 0 else []
    if ceiling := result.methods.ceiling:
        most = _with_interval(ceiling.spearman, 2)
        share = _with_interval(ceiling.reliability, 2)
        lines.append(f"Ceiling of any rho against this target: {most}; its reliability {share}.")
    return "\n".join(lines)


def _method(item: MethodAgreement, digits: int) -> list[str]:
    where = item.domain if item.group == POOLED else item.group
    return [
        item.method,
        where,
        str(len(item.agreement.recipes)),
        _with_interval(item.spearman, 2),
        _ends(item.true_spearman),
        formatting.percent(item.decision_accuracy.value),
        _at_most(item.regret.get("1"), digits),
        "" if item.flops is None else formatting.flops(item.flops).removesuffix("FLOP").rstrip(),
    ]


def _at_most(interval: Interval | None, digits: int) -> str:
    """`0.08 (<0.09)`: what was found and what it is at most."""
    if interval is None:
        return ""
    text = formatting.number(interval.value, digits)
    return text if interval.high is None else f"{text} (<{interval.high:.{digits}f})"


def _ends(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"{interval.low:.2f} to {interval.high:.2f}"


def _differences(methods: Methods | None) -> str:
    if not methods or not methods.differences:
        return ""
    rows = [
        [
            f"{item.first} minus {item.second}",
            _with_interval(item.spearman, 2),
            _with_interval(item.true_decision_accuracy, 2),
            item.verdict,
        ]
        for item in methods.differences
    ]
    level = formatting.level(methods.differences[0].confidence)
    header = ("methods compared", "rho", "pairs right", "verdict on rho")
    return f"Differences, {level} intervals each\n" + table(header, rows, frozenset({0, 3}))


def _flips(methods: Methods | None) -> str:
    items = [item for item in methods.of(AVERAGE) if item.agreement.flips] if methods else []
    if not items:
        return ""
    title = "Pairs that the target orders otherwise (! both are sure)"
    return "\n".join([title, *(_flipped(item) for item in items)])


def _flipped(item: MethodAgreement) -> str:
    """How many pairs flip, and which: first those that both sides are sure of, then the largest."""
    found = sorted(
        item.agreement.flips, key=lambda flip: (not flip.sure, -abs(flip.target_difference))
    )
    count = len(item.agreement.recipes)
    names = [f"{flip.first}/{flip.second}{'!' if flip.sure else ''}" for flip in found]
    text = f"{len(found)} of {count * (count - 1) // 2} pairs: "
    return wrapped(text + formatting.listed(names, _MOST_FLIPS), label=f"{item.method}: ", indent=2)


def _cautions(result: TableRanking) -> Iterator[str]:
    found = result.cautions()
    if found:
        yield "Cautions"
    for place, caution in found:
        text = f"{caution.text} ({place})" if place else caution.text
        yield wrapped(text, label="- ", indent=2)
