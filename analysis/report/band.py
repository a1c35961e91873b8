"""The report's section about the learning rates that proxies can be trusted at."""

from collections.abc import Iterator

import pandas as pd

from curricle.analysis import formatting, plots
from curricle.analysis.band import RateFacts, UsableBand
from curricle.analysis.content import ReportContent
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value


def band_section(content: ReportContent) -> Markup | None:
    """The usable band with its curve, and how each recipe's gradient serves the validation data."""
    band = content.band
    if band is None:
        return None
    parts: list[Part] = [
        markup.paragraph(band.text, class_="lead"),
        markup.paragraph(
            "Adam moves a weight by about the rate a step: proxies that are four times as long as "
            "these runs go as far at a quarter of the rate."
        ),
        markup.figure(
            plots.to_svg(plots.band_figure(band), "band"),
            "Shaded: the usable band. Blue line: the recommended rate. Red: 1 over the largest "
            "eigenvalue of the validation loss's Hessian at the start, plain (dashed) and with "
            "Adam's preconditioner (dotted), where they lie among the rates.",
        ),
        markup.table(_COLUMNS, list(_rows(band))),
    ]
    if content.alignment is not None:
        parts += _alignment(content.alignment)
    return markup.section("band", "Usable learning rates", *parts)


_COLUMNS = [
    Column("Rate"),
    Column("Loss", hint="mean over recipes and seeds, nats"),
    Column("Spread", hint="standard deviation of the recipes' means, nats"),
    Column("Seeds agree", hint="mean Spearman correlation between seeds"),
    Column("Next rate agrees", hint="Spearman correlation of the means with the next higher rate"),
    Column("Pairs flipped", hint="on the way to the next higher rate"),
    Column("Still in fp32", hint="share of weights that an update doesn't move"),
    Column("Still in bf16"),
    Column("Missing", hint="runs without a value"),
]


def _rows(band: UsableBand) -> Iterator[list[Part | Value]]:
    for item in band.rates:
        yield [
            Value(formatting.rate(item.rate), item.rate),
            formatting.number(item.loss, 4),
            formatting.number(item.spread, 4),
            formatting.number(item.seed_agreement, 2),
            formatting.number(item.next_agreement, 2),
            _flips(item),
            formatting.percent(item.still_fp32),
            formatting.percent(item.still_bf16),
            str(item.missing or ""),
        ]


def _flips(item: RateFacts) -> str:
    return "" if item.flips is None else f"{item.flips} of {item.pairs}"


def _alignment(table: pd.DataFrame) -> list[Part]:
    """Mean over seeds of each recipe's cosines, the best aligned first."""
    means = table.groupby("recipe", sort=False)[["gradient_cosine", "update_cosine", "gain"]].mean()
    rows: list[list[Part | Value]] = [
        [
            str(recipe),
            Value(f"{row['gradient_cosine']:.4f}", float(row["gradient_cosine"])),
            Value(f"{row['update_cosine']:.4f}", float(row["update_cosine"])),
            Value(f"{row['gain']:.4g}", float(row["gain"])),
        ]
        for recipe, row in means.sort_values("gain", ascending=False).iterrows()
    ]
    columns = [
        Column("Recipe", numeric=False),
        Column("Gradient", hint="cosine with the validation loss's gradient at the start"),
        Column("Adam's update", hint="cosine of the mean first update with that gradient"),
        Column("Gain", hint="first-order fall of the loss per step and unit of learning rate"),
    ]
    return [
        markup.tag("h3", "Alignment at the start"),
        markup.paragraph(
            "At a tiny rate a recipe is as good as its updates are aligned with the validation "
            "loss's gradient; here both are measured before training, mean over seeds."
        ),
        markup.table(columns, rows),
    ]
