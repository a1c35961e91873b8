"""What scores are worth, as tables of the report."""

from collections.abc import Iterator

from curricle.analysis import formatting
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value
from curricle.analysis.score_quality import RELIABLE, ScoreQualities


def quality_parts(found: ScoreQualities) -> Iterator[Markup]:
    """Warnings, agreement of each score with itself, its domains, correlations between scores."""
    for warning in found.warnings:
        yield markup.paragraph(f"{warning[0].upper()}{warning[1:]}.", class_="note")
    yield markup.table(_COLUMNS, list(_rows(found)))
    yield markup.table(_DOMAIN_COLUMNS, list(_domain_rows(found)))
    if len(found.correlations) > 1:
        names = [str(name) for name in found.correlations]
        columns = [Column("Correlation", numeric=False), *map(Column, names)]
        yield markup.table(columns, list(_correlation_rows(found)))


_COLUMNS = [
    Column("Score", numeric=False),
    Column("Split half", hint=f"Spearman, mean over domains; below {RELIABLE}: don't rank by it"),
    Column("overall", hint="over all samples, helped by what tells domains apart"),
    Column("Seeds", hint="agreement between the proxies of two seeds"),
    Column("Checkpoints", hint="agreement between single late checkpoints of one proxy"),
    Column("Proxies", hint="agreement between a further proxy and the study's own"),
    Column("Between domains", hint="share of the variance between domains"),
]
_DOMAIN_COLUMNS = [
    Column("Score", numeric=False),
    Column("Domain", numeric=False),
    Column("Samples"),
    Column("5 %"),
    Column("Median"),
    Column("95 %"),
    Column("Lift", hint="share of the top quarter over share of all samples"),
    Column("Split half"),
]


def _rows(found: ScoreQualities) -> Iterator[list[Part | Value]]:
    for item in found.scores:
        yield [
            item.score,
            _value(item.split_half),
            _value(item.split_half_overall),
            _value(item.between_seeds),
            _value(item.between_checkpoints),
            _value(item.between_proxies),
            Value(formatting.percent(item.between_domains), item.between_domains),
        ]


def _domain_rows(found: ScoreQualities) -> Iterator[list[Part | Value]]:
    for item in found.scores:
        for domain in item.domains:
            yield [
                item.score,
                domain.domain,
                Value(f"{domain.samples:,}", domain.samples),
                *(_value(value, 3) for value in (domain.low, domain.median, domain.high)),
                _value(domain.lift),
                _value(domain.split_half),
            ]


def _correlation_rows(found: ScoreQualities) -> Iterator[list[Part | Value]]:
    for name, row in found.correlations.iterrows():
        yield [str(name), *(_value(float(value)) for value in row)]


def _value(value: float | None, digits: int = 2) -> Value:
    if value is None or value != value:
        return Value("", None)
    return Value(formatting.number(value, digits), value)
