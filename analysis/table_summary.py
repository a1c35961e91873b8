"""A table's rankings as plain text, at most 100 columns."""

from collections.abc import Iterator

from curricle.analysis import formatting
from curricle.analysis.methods import MethodAgreement, Methods
from curricle.analysis.methods_text import methods_text, with_interval
from curricle.analysis.plain_text import table, wrapped
from curricle.analysis.ranked import Ranking
from curricle.analysis.results import AVERAGE
from curricle.analysis.summary import ranking_lines
from curricle.analysis.table_ranking import TableRanking

_MOST_FLIPS = 8


def render_table_ranking(result: TableRanking) -> str:
    """The rankings, the methods against the target, flips and cautions; parts without data out."""
    sections = [
        *(_ranking(method, ranking, result) for method, ranking in result.averages().items()),
        _methods(result),
        _differences(result.methods),
        _flips(result.methods),
        "\n".join(_cautions(result)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _ranking(method: str, ranking: Ranking, result: TableRanking) -> str:
    seeds = formatting.counted(len(ranking.seeds), "seed")
    better = "higher is better, " if result.higher_is_better else ""
    title = (
        f"{method}: mean over domains, {better}{seeds}, difference to {ranking.baseline}, "
        f"{formatting.level(ranking.confidence)} intervals, jointly (* control)"
    )
    return "\n".join([wrapped(title), *ranking_lines(ranking, result.measure.name.lower())])


def _methods(result: TableRanking) -> str:
    if not result.methods:
        return ""
    return methods_text(result.methods, result.methods.agreements, result.target[AVERAGE])


def _differences(methods: Methods | None) -> str:
    if not methods or not methods.differences:
        return ""
    rows = [
        [
            f"{item.first} minus {item.second}",
            with_interval(item.spearman, 2),
            with_interval(item.true_decision_accuracy, 2),
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
