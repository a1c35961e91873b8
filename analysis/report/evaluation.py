"""The report's sections about the targets: perplexity, multiple choice, sharpness."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from curricle.analysis import formatting, plots
from curricle.analysis.content import ReportContent
from curricle.analysis.report import markup
from curricle.analysis.report.documents import documents_part
from curricle.analysis.report.markup import Column, Markup, Part, Value
from curricle.analysis.report.multiple_choice import multiple_choice_part
from curricle.analysis.report.sharpness import sharpness_part
from curricle.analysis.results import AVERAGE

Floats = npt.NDArray[np.float64]

_NONE = np.empty(0)
_BITS_PER_BYTE = "validation/bits_per_byte"
_PER_DOMAIN = {
    "validation/perplexity": ("Perplexity", "average: geometric mean over domains"),
    _BITS_PER_BYTE: ("Bits per byte", "average: mean over domains"),
}
_MULTIPLE_CHOICE = {
    "multiple_choice/accuracy": "Accuracy",
    "multiple_choice/calibrated_accuracy": "… calibrated for the prior of the letters",
    "multiple_choice/correct_probability": "Probability of the right choice",
    "multiple_choice/bits_per_byte": "Bits per byte of the right answer",
}
_SHARPNESS = {
    "sharpness/largest_eigenvalue": "Largest Hessian eigenvalue",
    "sharpness/smallest_eigenvalue": "… smallest",
    "sharpness/dense_largest_eigenvalue": "… largest, dense layers alone",
    "sharpness/dense_smallest_eigenvalue": "… smallest, dense layers alone",
    "sharpness/trace": "Trace of the Hessian",
    "sharpness/sam": "SAM: rise of the loss, nats",
    "sharpness/adaptive_sam": "Adaptive SAM: rise of the loss, nats",
    "sharpness/critical": "Critical: 2 / smallest step that raises the loss",
}


_NO_ROWS = pd.DataFrame(columns=["curriculum", "metric", "domain", "tokens"], dtype=object)


def evaluation_sections(content: ReportContent) -> dict[str, Markup | None]:
    """A section for each evaluation, with figures and with tables of one column per arm."""
    rows = _NO_ROWS if content.evaluation is None else content.evaluation
    arms = [arm for arm in content.arms() if arm in set(rows["curriculum"])]
    arms = arms or list(dict.fromkeys(rows["curriculum"]))
    parts: dict[str, list[Part]] = {
        "Perplexity": [
            _perplexity_figure(rows, arms, content.curricula),
            *(_domain_table(rows, arms, metric) for metric in _PER_DOMAIN),
            _rounded_table(rows, arms),
            *documents_part(content.documents, content.curricula),
        ],
        "Multiple choice": [
            *multiple_choice_part(content.letters, content.subjects),
            _single_table(rows, arms, _MULTIPLE_CHOICE),
        ],
        "Sharpness": [
            *sharpness_part(rows, arms, content.curricula),
            _single_table(rows, arms, _SHARPNESS),
        ],
    }
    return {name: _section(name, children) for name, children in parts.items()}


def _section(name: str, children: Sequence[Part]) -> Markup | None:
    if not any(children):
        return None
    lead = "Targets at the end of training: mean over seeds, standard deviation over seeds after ±."
    anchor = markup.anchor(name)
    return markup.section(anchor, name, markup.paragraph(lead, class_="lead"), *children)


def _perplexity_figure(
    rows: pd.DataFrame, arms: Sequence[str], curricula: Sequence[str]
) -> Markup | None:
    chosen = rows[(rows["metric"] == "validation/bits_per_byte") & (rows["domain"] != AVERAGE)]
    if not len(chosen):
        return None
    return markup.figure(
        plots.to_svg(plots.perplexity_figure(chosen, arms, curricula), "perplexity"),
        "Bits per byte of each domain: a dot per seed, a line at their mean.",
    )


def _domain_table(rows: pd.DataFrame, arms: Sequence[str], metric: str) -> Markup | None:
    chosen = rows[(rows["metric"] == metric) & (rows["domain"] != AVERAGE)]
    if not len(chosen):
        return None
    name, note = _PER_DOMAIN[metric]
    runs = chosen.pivot_table(index=["curriculum", "seed"], columns="domain", values="value")
    values = runs.to_numpy(dtype=float)
    geometric = metric == "validation/perplexity"
    average = np.exp(np.log(values).mean(axis=1)) if geometric else values.mean(axis=1)
    arm_of = runs.index.get_level_values("curriculum").to_numpy()
    columns = [Column(name, numeric=False, hint=note), *(Column(arm) for arm in arms)]
    series = zip([*runs.columns, AVERAGE], [*values.T, average], strict=True)
    body: list[list[Part | Value]] = [
        [str(domain), *_spreads([column[arm_of == arm] for arm in arms])]
        for domain, column in series
    ]
    return markup.table(columns, body)


def _rounded_table(rows: pd.DataFrame, arms: Sequence[str]) -> Markup | None:
    """Bits per byte before and after the weights were rounded, the mean over domains."""
    rounded = f"{_BITS_PER_BYTE}_int"
    averages = rows[rows["domain"] == AVERAGE]
    found = sorted(name for name in set(averages["metric"]) if name.startswith(rounded))
    labels = {name: f"… weights in {name.removeprefix(rounded)} bits" for name in found}
    before = {_BITS_PER_BYTE: "Bits per byte, mean over domains"}
    return _single_table(averages, arms, before | labels) if labels else None


def _single_table(
    rows: pd.DataFrame, arms: Sequence[str], labels: Mapping[str, str]
) -> Markup | None:
    at_the_end = rows["tokens"] == rows["tokens"].max()
    chosen = rows[rows["metric"].isin(list(labels)) & at_the_end]
    if not len(chosen):
        return None
    keyed = chosen.groupby(["metric", "curriculum"])["value"]
    found = {key: group.to_numpy() for key, group in keyed}
    known = set(chosen["metric"])
    body: list[list[Part | Value]] = [
        [label, *_spreads([found.get((metric, arm), _NONE) for arm in arms])]
        for metric, label in labels.items()
        if metric in known
    ]
    columns = [Column("Measure", numeric=False), *(Column(arm) for arm in arms)]
    return markup.table(columns, body, sortable=False)


def _spreads(groups: Sequence[Floats]) -> list[Value]:
    """Mean and standard deviation of each group, with as many decimals as the row needs."""
    groups = [values[np.isfinite(values)] for values in groups]
    deviations = [float(values.std(ddof=1)) for values in groups if len(values) > 1]
    size = max((abs(float(values.mean())) for values in groups if len(values)), default=1.0)
    typical = float(np.median(deviations)) if deviations else 0.0
    digits = formatting.decimals_for(typical or size / 100, most=4)
    return [_spread(values, digits) for values in groups]


def _spread(values: Floats, digits: int) -> Value:
    if not len(values):
        return Value("", None)
    mean = float(values.mean())
    shown = f"{mean:.{digits}f}"
    return Value(f"{shown} ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else shown, mean)
