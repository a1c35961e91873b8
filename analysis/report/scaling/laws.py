"""Laws, exponents and breaks in the report of a ladder."""

from collections.abc import Mapping

import numpy as np

from curricle.analysis.plots import scaling as plots
from curricle.analysis.plots.style import to_svg
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value
from curricle.analysis.report.scaling.intervals import ends_text
from curricle.analysis.scaling.curves import curve_of
from curricle.analysis.scaling.fitting import ScalingFit, fit_power
from curricle.analysis.scaling.ladder import LadderFindings
from curricle.analysis.scaling.points import power_points

_PARAMETERS = "non-embedding parameters"


def laws_section(found: LadderFindings) -> Markup | None:
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
    warnings = [f"{name}: {line}" for name, fit in found.laws.items() for line in fit.warnings]
    return markup.section(
        "laws",
        "Laws",
        figure,
        markup.paragraph(
            "L = E + A N^-alpha + B D^-beta; runs are resampled whole. Residual: of the log loss, "
            "where a few per cent mean that the law doesn't describe the runs. Held-out size: "
            "error at the largest sizes, predicted without them.",
            class_="lead",
        ),
        _laws_table(found.laws),
        markup.tag("ul", *(markup.tag("li", text) for text in warnings)) if warnings else None,
    )


def _laws_table(laws: Mapping[str, ScalingFit]) -> Markup:
    """A column a law: intervals of A and B have more digits than a page has room for in a row."""
    keys = next(iter(laws.values())).parameters
    rows: list[list[Part | Value]] = [
        [key, *(_estimate(fit.parameters[key], fit.intervals.get(key)) for fit in laws.values())]
        for key in keys
    ]
    rows.append(["residual", *(f"{fit.residual:.2%}" for fit in laws.values())])
    errors = [fit.held_out for fit in laws.values()]
    rows.append(["held-out size", *("" if one is None else f"{one:.2%}" for one in errors)])
    return markup.table([Column("", numeric=False), *map(Column, laws)], rows)


def _estimate(value: float, ends: tuple[float, float] | None) -> Value:
    shown = f"{value:.3g}" + (f" ({ends[0]:.3g} to {ends[1]:.3g})" if ends else "")
    return Value(shown, value)


def exponents_section(found: LadderFindings) -> Markup | None:
    """Each curriculum's exponent in N, against the control's."""
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
            ends_text(one.interval),
            "" if one.verdict == "baseline" else f"{one.difference:+.4f}",
            "" if one.verdict == "baseline" else ends_text(one.difference_interval),
            markup.verdict(one.verdict),
        ]
        for one in fit.exponents
    ]
    floor = "share one irreducible term" if fit.shared else "have an irreducible term each"
    agreed = "" if fit.agreed else " The test and the held-out sizes disagree about that."
    if fit.held_out_shared and fit.held_out_separate:
        agreed += (
            f" The largest sizes, predicted without them, are missed by "
            f"{max(fit.held_out_shared.values()):.2%} at most with one term, by "
            f"{max(fit.held_out_separate.values()):.2%} with one each."
        )
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


def breaks_section(found: LadderFindings) -> Markup | None:
    """Breaks in the mean loss, and what the accuracies' rises are due to."""
    if not found.breaks:
        return None
    figures = [
        markup.figure(
            to_svg(plots.break_figure(finding, _PARAMETERS), f"break-{index}"),
            f"{name}: {finding.reason}.",
        )
        for index, (name, finding) in enumerate(found.breaks.items())
        if finding.chosen
    ]
    reasons = [
        f"{name}: {finding.verdict}; {finding.reason}." for name, finding in found.breaks.items()
    ]
    judges = [
        Column("Curriculum", numeric=False),
        Column("Breaks"),
        Column("corrected BIC", hint="minus that of the law without a break; lower is better"),
        Column("size left out", hint="root mean square error of the log loss"),
    ]
    judged = [
        [name, str(fit.breaks), f"{fit.criterion:+.2f}", f"{fit.held_out:.4f}"]
        for name, finding in found.breaks.items()
        for fit in finding.fits
    ]
    columns = [
        Column("Curriculum", numeric=False),
        Column("Stage", numeric=False),
        Column("Accuracy's rise", numeric=False),
        Column("Why", numeric=False, wrap=True),
    ]
    rows = [[*key, jump.verdict, jump.reason] for key, jump in found.jumps.items()]
    table = markup.table(columns, rows) if rows else None
    return markup.section(
        "breaks",
        "Breaks",
        markup.tag("ul", *(markup.tag("li", text) for text in reasons)),
        *figures,
        markup.table(judges, judged),
        table,
    )
