"""The report's part about multiple choice: letters, verdicts, subjects."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from curricle.analysis import formatting, plots
from curricle.analysis.multiple_choice import LetterReport
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value


def multiple_choice_part(
    reports: Sequence[LetterReport], subjects: pd.DataFrame | None
) -> list[Part]:
    """The letters of each model, the verdicts, and the accuracies of `accuracy_table`."""
    if not reports:
        return []
    first = reports[0]
    constants = ", ".join(
        f"{letter} {rate:.1%}".replace("%", " %") for letter, rate in first.rates.items()
    )
    return [
        markup.paragraph(
            f"Always giving the same letter is right this often: {constants}. An accuracy says "
            "something only above the best of these.",
            class_="lead",
        ),
        markup.figure(
            plots.to_svg(plots.letters_figure(reports), "letters"),
            "Bars: how often a letter is given, all seeds together. Lines: how often it is right.",
        ),
        markup.table(_columns(first), list(_rows(reports))),
        None if subjects is None else _subjects(subjects),
    ]


def _columns(first: LetterReport) -> list[Column]:
    level = formatting.level(first.confidence)
    return [
        Column("Curriculum", numeric=False),
        Column("Seed"),
        Column("Questions"),
        Column("Right"),
        Column(f"{level} interval", hint="exact, over questions"),
        Column("Best constant"),
        Column("p", hint="exact one-sided McNemar tests: some constant letter is as good"),
        Column("Above it?", numeric=False, hint="one model at a time, not corrected for many"),
        Column("Prompts cut", hint="share of prompts that did not fit the context"),
    ]


def _rows(reports: Sequence[LetterReport]) -> Iterator[list[Part | Value]]:
    for item in reports:
        interval = f"{item.low:.1%} to {item.high:.1%}".replace("%", " %")
        yield [
            item.arm,
            "" if item.seed is None else str(item.seed),
            str(item.questions),
            Value(f"{item.accuracy:.1%}".replace("%", " %"), item.accuracy),
            Value(interval, item.low),
            f"{item.best_letter} {item.best_rate:.1%}".replace("%", " %"),
            Value(formatting.p_value(item.p_value), item.p_value),
            markup.verdict("better" if item.above else "cannot tell"),
            Value(formatting.percent(item.truncated), item.truncated),
        ]


def _subjects(table: pd.DataFrame) -> Markup:
    """Groups and subjects against arms: mean over seeds, interval over questions."""
    arms = list(dict.fromkeys(table["arm"]))
    columns = [
        Column("Subject", numeric=False),
        Column("Questions"),
        *(Column(arm, hint="mean over seeds, exact 95 % interval over questions") for arm in arms),
    ]
    keyed = {(row.arm, row.name): row for row in table.itertuples(index=False)}
    names = list(dict.fromkeys(table["name"]))
    body: list[list[Part | Value]] = []
    for name in names:
        found = [keyed.get((arm, name)) for arm in arms]
        questions = next(row.questions for row in found if row)
        body.append([name.replace("_", " "), str(questions), *map(_accuracy, found)])
    return markup.table(columns, body)


def _accuracy(row: Any) -> Value:
    if row is None:
        return Value("", None)
    shown = f"{row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%})".replace("%", " %")
    return Value(shown, row.accuracy)
