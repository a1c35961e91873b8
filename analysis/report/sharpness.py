"""The report's part about sharpness: every measure by arm, and how far Lanczos got."""

from collections.abc import Sequence

import pandas as pd

from curricle.analysis import plots
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Part

_PREFIX = "sharpness/"
_ENDS = {
    "largest": "largest eigenvalue",
    "smallest": "smallest eigenvalue",
    "dense_largest": "largest one of the dense layers",
    "dense_smallest": "smallest one of the dense layers",
}


def sharpness_part(rows: pd.DataFrame, arms: Sequence[str], curricula: Sequence[str]) -> list[Part]:
    """Figures and the convergence report, or nothing if sharpness wasn't measured."""
    chosen = rows[rows["metric"].str.startswith(_PREFIX) & rows["curriculum"].isin(arms)]
    if not len(chosen):
        return []
    parts: list[Part] = [
        markup.paragraph(
            "On one held-out batch that all arms share. Eigenvalues depend on the learning rate "
            "and on how layers are scaled against each other: compare arms, which share the rate, "
            "and look at adaptive SAM, which rescaling leaves alone.",
            class_="lead",
        ),
        markup.figure(
            plots.to_svg(plots.sharpness_figure(chosen, arms, curricula), "sharpness"),
            "A dot per seed, a line at their mean. Thin: an eigenvalue's bound, the trace's "
            "standard error.",
        ),
        markup.paragraph(_convergence(chosen)),
    ]
    if len(chosen["tokens"].unique()) > 1:
        figure = plots.sharpness_curves_figure(chosen, arms, curricula)
        parts.append(
            markup.figure(
                plots.to_svg(figure, "sharpness-curves"), "Along the run, mean over seeds."
            )
        )
    return parts


def _convergence(rows: pd.DataFrame) -> str:
    """How many eigenvalues Lanczos brought below its tolerance, and the worst of the others."""
    sentences = []
    for end, said in _ENDS.items():
        reached = rows.loc[rows["metric"] == f"{_PREFIX}{end}_converged", "value"]
        residuals = rows.loc[rows["metric"] == f"{_PREFIX}{end}_residual", "value"]
        if not len(reached):
            continue
        sentence = f"Lanczos converged to the {said} in {int(reached.sum())} of "
        sentence += f"{len(reached)} measurements"
        if reached.sum() < len(reached):
            sentence += f"; the largest relative residual is {residuals.max():.2g}"
        sentences.append(sentence + ".")
    return " ".join(sentences)
