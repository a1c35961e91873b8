"""Curricula against the control in the report of a ladder: losses, tokens, stages, schedules."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from curricle.analysis import formatting
from curricle.analysis.plots import scaling as plots
from curricle.analysis.plots.style import to_svg
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part
from curricle.analysis.report.scaling.intervals import budget_name, ends_text, interval_text
from curricle.analysis.scaling.differences import Difference
from curricle.analysis.scaling.ladder import MEAN, LadderFindings, LadderTables, StageGain


def differences_section(found: LadderFindings) -> Markup | None:
    """Final losses by domain, and tokens to reach the static mix's loss."""
    every = {MEAN: found.final, **found.by_domain}
    unread = found.tables.unread
    names = {name: f"{name}, never read" if name in unread else name for name in every}
    rows = [
        [names[name], *_difference_cells(one)] for name, items in every.items() for one in items
    ]
    parts: list[Part] = [
        markup.paragraph(
            "Final loss at the largest budget, nats; paired by size and seed, over sizes.",
            class_="lead",
        ),
        markup.table(_difference_columns("Domain"), rows),
    ]
    if unread:
        parts.append(
            markup.paragraph(
                "What was never read is held-out text of domains that the mix leaves out: how far "
                "what was learned carries over. The mean is over the domains that were read."
            )
        )
    if len(found.by_budget) > 1:
        parts += _by_budget(found)
    if found.reach:
        parts += _reach(found)
    return markup.section("differences", "Differences", *parts) if rows else None


def _by_budget(found: LadderFindings) -> Iterator[Markup]:
    yield markup.tag("h3", "At every budget")
    yield markup.paragraph(
        "Mean loss over domains. What an arrangement sorts up to the first decay is as much at "
        "every budget: the larger the budget, the more has been read of the mix since."
    )
    rows = [
        [budget_name(found.tables, budget), *_difference_cells(one)]
        for budget, every in found.by_budget.items()
        for one in every
    ]
    yield markup.table(_difference_columns("Budget"), rows)


def _difference_columns(first: str) -> list[Column]:
    """What the name in the first column and `_difference_cells` stand under."""
    return [
        Column(first, numeric=False),
        Column("Curriculum", numeric=False),
        Column("minus control's"),
        Column("joint interval"),
        Column("Verdict", numeric=False),
    ]


def _difference_cells(one: Difference, digits: int = 4) -> list[Part]:
    return [
        one.curriculum,
        f"{one.mean:+.{digits}f}",
        interval_text(one, digits),
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


def interactions_section(found: LadderFindings) -> Markup | None:
    """Whether a curriculum's difference depends on the learning-rate schedule."""
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
            ends_text(None if one.low is None or one.high is None else (one.low, one.high)),
            "yes" if one.certain else "cannot tell",
        ]
        for one in found.interactions
    ]
    lead = "Difference to the static mix's final loss (nats) under each schedule, at equal sizes."
    return markup.section(
        "schedules", "Schedules", markup.paragraph(lead, class_="lead"), markup.table(columns, rows)
    )


def stages_section(found: LadderFindings) -> Markup | None:
    """What every stage gains: losses along training, accuracies by family and by size."""
    parts: list[Part] = []
    if len(found.tables.along):
        parts.append(_dynamics(found.tables))
    if found.gains:
        parts += [
            markup.paragraph(
                "Accuracy on items about worlds that no run has read, mean over sizes at the "
                "largest budget. Held-out families are in no training text.",
                class_="lead",
            ),
            _gain_table(found.gains, found.tables.control),
            markup.details("Each family", _gain_table(found.families, found.tables.control)),
            markup.details("Each size", _size_table(found.gains)),
        ]
    if found.tuned_loss:
        parts += _fine_tuned(found)
    return markup.section("stages", "Stages", *parts) if parts else None


def _dynamics(tables: LadderTables) -> Markup:
    largest = tables.along["parameters"].max()
    rows = tables.along[tables.along["parameters"] == largest]
    places = {stage: place for place, stage in enumerate(tables.stages)}
    rows = rows.sort_values("domain", key=lambda names: names.map(places), kind="stable")
    figure = plots.dynamics_figure(rows, tables.control)
    caption = (
        f"The largest size ({formatting.quantity(largest)} parameters), mean over seeds, at the "
        f"peak rate where budgets share a run. Dark: {tables.control}."
    )
    return markup.figure(to_svg(figure, "dynamics"), caption)


def _size_table(gains: Sequence[StageGain]) -> Markup:
    """Accuracy minus the control's at each size, mean over seeds."""
    sizes = sorted({size for gain in gains for one in gain.accuracy for size in one.sizes})
    columns = [Column(name, numeric=False) for name in ("Stage", "Families", "Curriculum")]
    columns += [Column(formatting.quantity(size)) for size in sizes]
    rows = []
    for gain in gains:
        for one in gain.accuracy:
            by_size = dict(zip(one.sizes, one.by_size, strict=True))
            cells = [f"{by_size[size]:+.3f}" if size in by_size else "" for size in sizes]
            rows.append([gain.stage, _families(gain), one.curriculum, *cells])
    return markup.table(columns, rows)


def _fine_tuned(found: LadderFindings) -> Iterator[Markup]:
    stage = found.tables.tuned_on
    yield markup.tag("h3", f"After fine-tuning on {stage}")
    yield markup.paragraph("Loss (nats), then accuracies.")
    rows = [
        [domain, *_difference_cells(one)]
        for domain, every in found.tuned_loss.items()
        if domain in (MEAN, stage)
        for one in every
    ]
    yield markup.table(_difference_columns("Domain"), rows)
    if found.tuned:
        before = {(gain.stage, gain.held_out): gain.control for gain in found.gains}
        yield _gain_table(found.tuned, found.tables.control, before)


def _families(gain: StageGain) -> str:
    kind = "held out" if gain.held_out else "trained on"
    return f"{gain.family} ({kind})" if gain.family else kind


def _gain_table(
    gains: Sequence[StageGain],
    control: str,
    before: Mapping[tuple[str, bool], float] | None = None,
) -> Markup:
    """Accuracies against the control's; `before` is the control's without fine-tuning."""
    columns = [
        Column("Stage", numeric=False),
        Column("Families", numeric=False),
        Column("chance"),
        *([Column(f"{control} before")] if before else []),
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
            _families(gain),
            f"{gain.chance:.3f}",
            *([f"{before[gain.stage, gain.held_out]:.3f}"] if before else []),
            f"{gain.control:.3f}",
            *_difference_cells(accuracy, 3),
            f"{nats.mean:+.3f}",
        ]
        for gain in gains
        for accuracy, nats in zip(gain.accuracy, gain.nats, strict=True)
    ]
    return markup.table(columns, rows)
