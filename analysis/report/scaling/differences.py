"""Curricula against the control in the report of a ladder: losses, tokens, stages, schedules."""

from collections.abc import Iterator, Sequence

import numpy as np

from curricle.analysis import formatting
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part
from curricle.analysis.report.scaling.intervals import ends_text, interval_text
from curricle.analysis.scaling.differences import Difference
from curricle.analysis.scaling.ladder import LadderFindings, StageGain


def differences_section(found: LadderFindings) -> Markup | None:
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
