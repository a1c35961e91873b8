"""Methods against the target as plain text: agreement, and what no method could exceed."""

from collections.abc import Sequence

from curricle.analysis import formatting
from curricle.analysis.methods import MethodAgreement, Methods
from curricle.analysis.plain_text import table, wrapped
from curricle.analysis.ranked import Ranking
from curricle.analysis.results import AVERAGE, POOLED
from curricle.core.bootstrap import Interval

_MOST_ROWS = 60
BEYOND_THE_CEILING = (
    "Where the target was tuned for each recipe on few runs, what these happened to choose is "
    "noise too, which its seeds don't show: the true ceiling is lower still."
)


def methods_text(methods: Methods, agreements: Sequence[MethodAgreement], target: Ranking) -> str:
    """Those `agreements` with the `target`'s ranking, and the ceiling of any."""
    digits = formatting.decimals_for(target.standard_deviation)
    rows = [_method(item, digits) for item in agreements[:_MOST_ROWS]]
    header = ("method", "where", "n", "rho", "true rho", "pairs right", "regret@1", "FLOP")
    lines = [
        "Agreement with the target ranking (candidates; rho's interval over recipes from 10 on,",
        "the others' over the target's noise)",
        table(header, rows, frozenset({0, 1})),
    ]
    left_out = len(agreements) - len(rows)
    lines += [f"… {left_out} more with --json"] if left_out > 0 else []
    lines += [wrapped(text, indent=2) for text in at_equal_flops(agreements)]
    if ceiling := methods.ceiling:
        most = with_interval(ceiling.spearman, 2)
        share = with_interval(ceiling.reliability, 2)
        lines.append(f"Ceiling of any rho against this target: {most}; its reliability {share}.")
    within = [item for item in methods.ceilings if item.group != POOLED]
    if within:
        found = [f"{item.group} {with_interval(item.spearman, 2)}" for item in within]
        lines.append(wrapped(f"Within dimensions: {', '.join(found)}.", indent=2))
    if methods.ceiling:
        lines.append(wrapped(BEYOND_THE_CEILING, indent=2))
    return "\n".join(lines)


def at_equal_flops(agreements: Sequence[MethodAgreement]) -> list[str]:
    """What methods that cost less than the first are worth at its cost, on the mean over domains.

    Empty where there are none.
    """
    found = [
        f"{item.method} {item.at_equal_flops:.2f}"
        for item in agreements
        if item.at_equal_flops is not None and item.domain == AVERAGE
    ]
    if not found:
        return []
    return [
        f"At the FLOPs of {agreements[0].method}, spent on more seeds, cheaper methods' rho is "
        f"expected to be: {', '.join(found)}."
    ]


def with_interval(interval: Interval | None, digits: int) -> str:
    """`0.91 (0.78 to 0.97)`, without the brackets if there is no interval."""
    if interval is None:
        return ""
    text = formatting.number(interval.value, digits)
    if interval.low is None or interval.high is None:
        return text
    low, high = (formatting.number(end, digits) for end in (interval.low, interval.high))
    return f"{text} ({low} to {high})"


def _method(item: MethodAgreement, digits: int) -> list[str]:
    where = item.domain if item.group == POOLED else item.group
    return [
        item.method,
        where,
        str(len(item.agreement.recipes)),
        with_interval(item.spearman, 2),
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
