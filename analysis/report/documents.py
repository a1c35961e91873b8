"""The report's part about perplexity: arms against the random order, paired by document."""

from collections.abc import Iterator, Sequence

from curricle.analysis import formatting, plots
from curricle.analysis.documents import DocumentComparison
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Part, Value
from curricle.core.bootstrap import Interval


def documents_part(
    comparisons: Sequence[DocumentComparison], curricula: Sequence[str]
) -> list[Part]:
    """Figure and table, or nothing without comparisons."""
    if not comparisons:
        return []
    control = comparisons[0].control
    return [
        markup.tag("h3", "Perplexity by document"),
        markup.paragraph(
            "Every held-out document is read by itself, from an end-of-text token on; nats are the "
            "mean over seeds. The intervals are over documents: they say what other documents "
            "would do to these models, not what other seeds would. Those of the domains hold "
            "jointly.",
            class_="lead",
        ),
        markup.figure(
            plots.to_svg(plots.documents_figure(comparisons, curricula), "documents"),
            "Documents differ far more than arms do: only the paired differences tell arms apart.",
        ),
        markup.table(_columns(comparisons[0], control), list(_rows(comparisons))),
    ]


def _columns(first: DocumentComparison, control: str) -> list[Column]:
    level = formatting.level(first.confidence)
    return [
        Column("Curriculum", numeric=False),
        Column("Domain", numeric=False),
        Column("Documents"),
        Column("Bits per byte"),
        Column(f"{level} interval", hint="studentised bootstrap over documents"),
        Column(f"Minus {control}'s", hint="paired by document"),
        Column(f"{level} interval"),
        Column("Verdict", numeric=False, hint="on documents, for these seeds"),
    ]


def _rows(comparisons: Sequence[DocumentComparison]) -> Iterator[list[Part | Value]]:
    differences = [item.difference for item in comparisons if item.difference]
    fine = formatting.common_decimals(
        [each.low for each in differences], [each.high for each in differences]
    )
    for item in comparisons:
        change = item.difference or Interval(float("nan"), None, None)
        yield [
            item.arm,
            item.domain,
            str(item.documents),
            Value(f"{item.value.value:.4f}", item.value.value),
            _plain_interval(item.value),
            Value(formatting.signed(change.value, fine), change.value if item.difference else None),
            Value(formatting.interval(change.low, change.high, fine), change.low),
            markup.verdict(item.verdict),
        ]


def _plain_interval(interval: Interval) -> Value:
    if interval.low is None or interval.high is None:
        return Value("", None)
    return Value(f"{interval.low:.3f} to {interval.high:.3f}", interval.low)
