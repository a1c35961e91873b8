"""The numbers of an evaluation by name: the same names for every model, in a study or by itself."""

from collections.abc import Mapping, Sequence
from typing import Any

AVERAGE = "average"
MULTIPLE_CHOICE_METRICS = (
    "accuracy",
    "standard_error",
    "calibrated_accuracy",
    "calibrated_accuracy_standard_error",
    "correct_probability",
    "correct_probability_standard_error",
    "bits_per_byte",
    "bits_per_byte_standard_error",
    "truncated",
)
PERPLEXITY_METRICS = ("perplexity", "bits_per_byte")
INTERVAL_ENDS = ("", "_low", "_high")
SHARPNESS_METRICS = (
    "largest_eigenvalue",
    "largest_residual",
    "largest_converged",
    "smallest_eigenvalue",
    "smallest_residual",
    "smallest_converged",
    "iterations",
    "dense_largest_eigenvalue",
    "dense_largest_residual",
    "dense_largest_converged",
    "dense_smallest_eigenvalue",
    "dense_smallest_residual",
    "dense_smallest_converged",
    "dense_iterations",
    "trace",
    "trace_error",
    "sam",
    "adaptive_sam",
    "critical",
    "gradient_norm",
    "products",
    "flops",
)
Values = dict[tuple[str, str], float]


def evaluation_values(kind: str, facts: Mapping[str, Any]) -> Values:
    """Numbers by (metric, domain) of what a job of `kind` found, or the harness.

    What was asked for and not obtained is left out.
    """
    if kind == "sharpness":
        return _single_values("sharpness", facts, SHARPNESS_METRICS)
    if kind == "multiple-choice":
        return _single_values("multiple_choice", facts, MULTIPLE_CHOICE_METRICS)
    if kind == "harness":
        return {
            (f"harness/{task}/{metric}", AVERAGE): entry["value"]
            for task, metrics in facts["tasks"].items()
            for metric, entry in metrics.items()
        }
    entries = {**facts["domains"], AVERAGE: facts["average"]}
    names = [name + end for name in PERPLEXITY_METRICS for end in INTERVAL_ENDS]
    return {
        (f"validation/{name}", domain): entry[name]
        for domain, entry in entries.items()
        for name in names
        if entry[name] is not None
    }


def tracked_names(values: Values) -> dict[str, float]:
    """The numbers as MLflow has them."""
    return {
        metric if domain == AVERAGE else f"{metric}/{domain}": value
        for (metric, domain), value in values.items()
    }


def _single_values(prefix: str, facts: Mapping[str, Any], names: Sequence[str]) -> Values:
    """The numbers among `facts` that have no domain."""
    return {
        (f"{prefix}/{name}", AVERAGE): float(facts[name])
        for name in names
        if facts.get(name) is not None
    }
