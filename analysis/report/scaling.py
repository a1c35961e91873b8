"""The report of a ladder: laws, exponents, breaks, stages, the recommendation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curricle.analysis import formatting
from curricle.analysis.plots import scaling as plots
from curricle.analysis.plots.style import to_svg
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value
from curricle.analysis.report.page import page
from curricle.analysis.scaling.curves import curve_of
from curricle.analysis.scaling.differences import Difference
from curricle.analysis.scaling.fitting import fit_power
from curricle.analysis.scaling.ladder import LadderFindings, StageGain
from curricle.analysis.scaling.points import power_points
from curricle.analysis.scaling.progression import Recommendation, left_out_error

_PARAMETERS = "non-embedding parameters"


@dataclass(frozen=True, kw_only=True)
class LadderContent:
    """What the page shows: findings, costs by size, schedules by curriculum, provenance.

    `schedules` tell, by curriculum, size and tokens, which stage is read for how long.
    """

    study: str
    status: str
    created: str
    findings: LadderFindings
    sizes: Sequence[Mapping[str, str]]
    schedules: Mapping[tuple[str, float], str]
    provenance: Mapping[str, str]
    spec: str


def render_ladder(content: LadderContent) -> str:
    """The whole page; the same content gives the same bytes."""
    found = content.findings
    sections = {
        "Laws": _laws(found),
        "Exponents": _exponents(found),
        "Breaks": _breaks(found),
        "Differences": _differences(found),
        "Stages": _stages(found),
        "Recommendation": _recommendation(content),
        "Schedules": _interactions(found),
        "Sizes": _sizes(content),
        "Provenance": _provenance(content),
    }
    notes = markup.tag("ul", *(markup.tag("li", note) for note in found.notes), class_="cautions")
    lead = markup.tag(
        "div",
        *(markup.paragraph(markup.prose(line)) for line in headline(found)),
        class_="headline",
    )
    facts = f"{content.status} · {content.created}"
    return page(content.study, facts, sections, lead, notes if found.notes else None)


def headline(found: LadderFindings) -> list[str]:
    """The findings in a few sentences, also for the terminal."""
    control = found.tables.control
    lines = [_final_line(one, control) for one in found.final]
    for name, finding in found.breaks.items():
        lines.append(f"{name}: {finding.verdict}; {finding.reason}.")
    if found.recommendations:
        sure = [one for one in found.recommendations if one.curriculum != control and one.inside]
        inside = sum(one.inside for one in found.recommendations)
        lines.append(
            f"An arrangement is surely better than {control} at {len(sure)} of {inside} sizes."
        )
    for name, (error, share) in left_out_error(found.left_out).items():
        lines.append(
            f"{name} at a size left out: predicted within {error:.2%} of the loss, "
            f"{formatting.percent(share)} of the intervals held.".replace("%", " %", 1)
        )
    return lines


def _final_line(one: Difference, control: str) -> str:
    said = "can't be told from" if one.verdict == "cannot tell" else f"is {one.verdict} than"
    ends = _interval(one)
    return f"{one.curriculum} {said} {control}: {one.mean:+.4f} nats ({ends}) over sizes."


def _interval(one: Difference, digits: int = 4) -> str:
    if one.low is None or one.high is None:
        return "no interval"
    return f"{one.low:+.{digits}f} to {one.high:+.{digits}f}"


def _laws(found: LadderFindings) -> Markup | None:
    """Loss against size at the largest budget, with bands; the law in N and D as a table."""
    if not found.laws:
        return None
    last = found.tables.at_largest(found.tables.runs)
    curves = {}
    for name in found.laws:
        runs = last[last["curriculum"] == name]
        if runs["parameters"].nunique() < 4:
            continue
        fit = fit_power(power_points(runs, "parameters", "loss"))
        x = np.geomspace(runs["parameters"].min(), runs["parameters"].max(), 60)
        curves[name] = curve_of(fit, x)
    figure: Part = None
    if curves:
        drawn = plots.law_figure(curves, _PARAMETERS, found.tables.control)
        caption = "At the largest budget, mean over domains. Bands are the laws', not single runs'."
        figure = markup.figure(to_svg(drawn, "laws"), caption)
    columns = [Column("Curriculum", numeric=False), *map(Column, ("A", "B", "E", "alpha", "beta"))]
    columns += [Column("held-out size", hint="error at the largest sizes, predicted without them")]
    rows: list[list[Part | Value]] = [
        [
            name,
            *(_estimate(fit.parameters[key], fit.intervals.get(key)) for key in fit.parameters),
            "" if fit.held_out is None else f"{fit.held_out:.2%}",
        ]
        for name, fit in found.laws.items()
    ]
    warnings = sorted({warning for fit in found.laws.values() for warning in fit.warnings})
    return markup.section(
        "laws",
        "Laws",
        figure,
        markup.paragraph(
            "L = E + A N^-alpha + B D^-beta; runs are resampled whole.", class_="lead"
        ),
        markup.table(columns, rows),
        markup.tag("ul", *(markup.tag("li", text) for text in warnings)) if warnings else None,
    )


def _estimate(value: float, ends: tuple[float, float] | None) -> Value:
    shown = f"{value:.3g}" + (f" ({ends[0]:.3g} to {ends[1]:.3g})" if ends else "")
    return Value(shown, value)


def _exponents(found: LadderFindings) -> Markup | None:
    fit = found.comparison
    if fit is None:
        return None
    columns = [
        Column("Curriculum", numeric=False),
        Column("exponent in N"),
        Column("95 % interval"),
        Column("minus control's"),
        Column("joint interval"),
        Column("Verdict", numeric=False),
    ]
    rows = [
        [
            one.curriculum,
            f"{one.exponent:.4f}",
            _ends(one.interval),
            "" if one.verdict == "baseline" else f"{one.difference:+.4f}",
            "" if one.verdict == "baseline" else _ends(one.difference_interval),
            markup.verdict(one.verdict),
        ]
        for one in fit.exponents
    ]
    floor = "share one irreducible term" if fit.shared else "have an irreducible term each"
    agreed = "" if fit.agreed else " The test and the held-out sizes disagree about that."
    return markup.section(
        "exponents",
        "Exponents",
        markup.paragraph(
            f"At the largest budget the curricula {floor} (F test: p {fit.p_value:.2g}).{agreed}",
            class_="lead",
        ),
        markup.figure(
            to_svg(plots.exponents_figure(fit), "exponents"), "Differences of exponents."
        ),
        markup.table(columns, rows),
    )


def _ends(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{ends[0]:+.4f} to {ends[1]:+.4f}"


def _breaks(found: LadderFindings) -> Markup | None:
    if not found.breaks:
        return None
    figures = [
        markup.figure(
            to_svg(plots.break_figure(finding, _PARAMETERS), f"break-{index}"),
            f"{name}: {finding.reason}.",
        )
        for index, (name, finding) in enumerate(found.breaks.items())
    ]
    columns = [
        Column("Curriculum", numeric=False),
        Column("Stage", numeric=False),
        Column("Accuracy's rise", numeric=False),
        Column("Why", numeric=False, wrap=True),
    ]
    rows = [[*key, jump.verdict, jump.reason] for key, jump in found.jumps.items()]
    table = markup.table(columns, rows) if rows else None
    return markup.section("breaks", "Breaks", *figures, table)


def _differences(found: LadderFindings) -> Markup | None:
    """Final losses by domain, and tokens to reach the static mix's loss."""
    columns = [
        Column("Domain", numeric=False),
        Column("Curriculum", numeric=False),
        Column("minus control's"),
        Column("joint interval"),
        Column("Verdict", numeric=False),
    ]
    every = {"mean": found.final, **found.by_domain}
    rows = [[name, *_difference_cells(one)] for name, items in every.items() for one in items]
    parts: list[Part] = [
        markup.paragraph(
            "Final loss at the largest budget, nats; paired by size and seed, over sizes.",
            class_="lead",
        ),
        markup.table(columns, rows),
    ]
    if found.reach:
        parts += _reach(found)
    return markup.section("differences", "Differences", *parts) if rows else None


def _difference_cells(one: Difference, digits: int = 4) -> list[Part]:
    return [
        one.curriculum,
        f"{one.mean:+.{digits}f}",
        _interval(one, digits),
        markup.verdict(one.verdict),
    ]


def _reach(found: LadderFindings) -> Iterator[Markup]:
    assert found.reach is not None
    yield markup.paragraph(
        "Tokens at the peak rate until the static mix's last loss is reached, over the static "
        "mix's tokens. A run that never gets there counts as four times its tokens."
    )
    columns = [Column("Curriculum", numeric=False), Column("ratio"), Column("joint interval")]
    columns += [Column("got there")]
    rows = []
    for one in found.reach.differences:
        ends = (
            ""
            if one.low is None or one.high is None
            else (f"{np.exp(one.low):.2f} to {np.exp(one.high):.2f}")
        )
        share = formatting.percent(found.reach.reached[one.curriculum])
        rows.append([one.curriculum, f"{np.exp(one.mean):.2f}", ends, share])
    yield markup.table(columns, rows)


def _stages(found: LadderFindings) -> Markup | None:
    """Accuracy on every stage's items, always against the static mix."""
    if not found.gains:
        return None
    parts: list[Part] = [
        markup.paragraph(
            "Accuracy on items about worlds that no run has read, mean over sizes at the largest "
            "budget. Held-out families are in no training text.",
            class_="lead",
        ),
        _gain_table(found.gains, found.tables.control),
    ]
    if found.tuned:
        parts += [
            markup.tag("h3", f"After fine-tuning on {found.tables.tuned_on}"),
            _gain_table(found.tuned, found.tables.control),
        ]
    return markup.section("stages", "Stages", *parts)


def _gain_table(gains: Sequence[StageGain], control: str) -> Markup:
    columns = [
        Column("Stage", numeric=False),
        Column("Families", numeric=False),
        Column("chance"),
        Column(control),
        Column("Curriculum", numeric=False),
        Column("minus control's"),
        Column("joint interval"),
        Column("Verdict", numeric=False),
        Column("nats of the answer", hint="minus the control's"),
    ]
    rows = [
        [
            gain.stage,
            "held out" if gain.held_out else "trained on",
            f"{gain.chance:.3f}",
            f"{gain.control:.3f}",
            *_difference_cells(accuracy, 3),
            f"{nats.mean:+.3f}",
        ]
        for gain in gains
        for accuracy, nats in zip(gain.accuracy, gain.nats, strict=True)
    ]
    return markup.table(columns, rows)


def _recommendation(content: LadderContent) -> Markup | None:
    found = content.findings
    if not found.recommendations:
        return None
    columns = [
        Column("Parameters"),
        Column("Tokens"),
        Column("Recommended", numeric=False),
        Column("Expected loss"),
        Column("Static mix"),
        Column("Lowest expected", numeric=False),
        Column("log ratio"),
        Column("Stages in turn", numeric=False, wrap=True),
    ]
    rows = [_recommended(one, content) for one in found.recommendations]
    figure = plots.recommendation_figure(found.recommendations, found.tables.control)
    errors = [
        f"{name} at a size left out: root mean square error {error:.4f}, "
        f"{formatting.percent(share)} of the intervals held."
        for name, (error, share) in left_out_error(found.left_out).items()
    ]
    return markup.section(
        "recommendation",
        "Recommendation",
        markup.paragraph(
            "An arrangement is recommended where its whole interval lies below the static mix.",
            class_="lead",
        ),
        markup.figure(to_svg(figure, "recommendation"), "Hollow: beyond what was run."),
        markup.table(columns, rows),
        *(markup.paragraph(line) for line in errors),
    )


def _recommended(one: Recommendation, content: LadderContent) -> list[Part | Value]:
    expected = "" if one.expected is None else f"{one.expected[0]:.4f}"
    if one.expected is not None and one.expected[1] < one.expected[2]:
        expected += f" ({one.expected[1]:.4f} to {one.expected[2]:.4f})"
    best = one.best
    beyond = "" if one.inside else " (beyond what was run)"
    return [
        Value(formatting.quantity(one.parameters), one.parameters),
        Value(formatting.quantity(one.tokens), one.tokens),
        f"{one.curriculum}{beyond}",
        expected,
        "" if one.static_loss is None else f"{one.static_loss:.4f}",
        best.curriculum,
        f"{best.mean:+.4f} ({best.low:+.4f} to {best.high:+.4f})",
        content.schedules.get((one.curriculum, one.parameters), ""),
    ]


def _interactions(found: LadderFindings) -> Markup | None:
    if not found.interactions:
        return None
    columns = [
        Column("Curriculum", numeric=False),
        Column("Schedule", numeric=False),
        Column("Budget"),
        Column(f"under {found.tables.main_schedule}"),
        Column("under this one"),
        Column("gap"),
        Column("joint interval"),
        Column("Depends on the schedule", numeric=False),
    ]
    rows = [
        [
            one.curriculum,
            one.schedule,
            str(one.budget + 1),
            f"{one.main:+.4f}",
            f"{one.other:+.4f}",
            f"{one.gap:+.4f}",
            _ends(None if one.low is None or one.high is None else (one.low, one.high)),
            "yes" if one.certain else "cannot tell",
        ]
        for one in found.interactions
    ]
    lead = "Difference to the static mix's final loss (nats) under each schedule, at equal sizes."
    return markup.section(
        "schedules", "Schedules", markup.paragraph(lead, class_="lead"), markup.table(columns, rows)
    )


def _sizes(content: LadderContent) -> Markup | None:
    if not content.sizes:
        return None
    columns = [Column(name, numeric=name != "size") for name in content.sizes[0]]
    return markup.section(
        "sizes", "Sizes", markup.table(columns, [list(row.values()) for row in content.sizes])
    )


def _provenance(content: LadderContent) -> Markup:
    facts = (
        item
        for label, fact in content.provenance.items()
        for item in (markup.tag("dt", label), markup.tag("dd", fact))
    )
    study = markup.details("The study", markup.tag("pre", content.spec))
    return markup.section("provenance", "Provenance", markup.tag("dl", *facts), study)
