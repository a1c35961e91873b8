"""What the evaluations of the command line print: aligned lines, the verdict in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

Lines = Sequence[tuple[str, str]]


def align(title: str, lines: Lines, verdict: str = "") -> str:
    """A title, names and values in two columns, and a closing sentence."""
    width = max(len(name) for name, _ in lines)
    body = [f"  {name:<{width}}  {value}" for name, value in lines]
    return "\n".join([title, *body, *([verdict] if verdict else [])])


def percent(value: float) -> str:
    """A share with one decimal."""
    return f"{100 * value:.1f} %"


def multiple_choice_text(result: Mapping[str, Any]) -> str:
    """The multiple-choice evaluation's result."""
    questions = result["questions"]
    subjects = len(result["subjects"])
    predicted, constant = result["predicted_letters"], result["constant_accuracy"]
    lines = [
        ("accuracy", f"{percent(result['accuracy'])}{_interval(result)}"),
        (
            "calibrated for letters",
            f"{percent(result['calibrated_accuracy'])}"
            f" ± {percent(result['calibrated_accuracy_standard_error'])}",
        ),
        (
            "probability of the right letter",
            f"{result['correct_probability']:.4f}"
            f" ± {result['correct_probability_standard_error']:.4f}",
        ),
        ("bits per byte of the right answer", _bits(result)),
        ("letters predicted", _letters({x: n / questions for x, n in predicted.items()})),
        ("always that letter", _letters(constant)),
        ("prompts cut to fit", f"{result['truncated']:,} of {questions:,}"),
    ]
    if result["truncated_questions"]:
        lines.append(("questions cut themselves", f"{result['truncated_questions']:,}"))
    lines += [
        (group["name"], f"{percent(group['accuracy'])}{_interval(group)}")
        for group in result["groups"]
    ]
    title = f"{result['shots']}-shot, {questions:,} questions of {subjects} subjects"
    verdicts = [result["verdict"]["text"]]
    if "against" in result:
        verdicts.append(_against(result["against"]))
    return align(title, lines, "\n".join(verdicts))


def perplexity_text(result: Mapping[str, Any]) -> str:
    """The perplexity evaluation's result, a line per domain."""
    domains = result["domains"]
    names = [*domains, *(["all together"] if len(domains) > 1 else [])]
    entries = [*domains.values(), *([result["overall"]] if len(domains) > 1 else [])]
    lines = [
        (
            name,
            f"perplexity {entry['perplexity']:.3f}{_bounds(entry, 'perplexity', 3)}, "
            f"{entry['bits_per_byte']:.4f} bits per byte{_bounds(entry, 'bits_per_byte', 4)}, "
            f"{entry['tokens']:,} tokens",
        )
        for name, entry in zip(names, entries, strict=True)
    ]
    documents = result["overall"]["documents"]
    verdict = _losses_against(result["against"]) if "against" in result else ""
    return align(f"{documents:,} documents of {len(domains)} domains", lines, verdict)


def sharpness_text(result: Mapping[str, Any]) -> str:
    """The sharpness evaluation's result."""
    lines = [("loss", f"{result['loss']:.4f}")]
    for name in ("largest", "smallest", "dense_largest", "dense_smallest"):
        if f"{name}_eigenvalue" in result:
            label = f"{name.replace('dense_', '')} eigenvalue"
            where = " of the dense layers" if name.startswith("dense") else ""
            converged = "" if result[f"{name}_converged"] else ", NOT converged"
            residual = f"residual {result[f'{name}_residual']:.1e}{converged}"
            lines.append((label + where, f"{result[f'{name}_eigenvalue']:.5g} ({residual})"))
    if "trace" in result:
        error = result["trace_error"]
        spread = "" if error is None else f" ± {error:.2g}"
        lines.append(("trace", f"{result['trace']:.5g}{spread}"))
    lines += [
        (name.replace("_", " "), f"{result[name]:.5g}")
        for name in ("sam", "adaptive_sam", "critical")
        if result.get(name) is not None
    ]
    return align(f"{result['samples']} samples of {result['tokens']:,} tokens", lines)


def harness_text(result: Mapping[str, Any]) -> str:
    """Every metric of every task."""
    lines = [
        (f"{task} {metric}", f"{entry['value']:.4f}{_error(entry)}")
        for task, metrics in result["tasks"].items()
        for metric, entry in metrics.items()
    ]
    return align(f"lm-evaluation-harness {result['harness']}", lines)


def plan_text(plan: Mapping[str, Any]) -> str:
    """What an evaluation would take."""
    lines = [(name.replace("_", " "), f"{value:,}") for name, value in plan.items()]
    return align("Would take", lines)


def verdict_text(*, above: bool, letter: str, rate: float, p_value: float) -> str:
    """Whether a model knows more than the constant letters, in plain words."""
    best = f"always answering {letter} is right {percent(rate)} of the time"
    if above:
        return f"Above the constant letters: {best} (p = {p_value:.2g})."
    return f"Not above the constant letters: {best} (p = {p_value:.2g}); the accuracy says nothing."


def _against(other: Mapping[str, Any]) -> str:
    points = f"{100 * other['difference']:+.2f} points"
    interval = f"{100 * other['low']:+.2f} to {100 * other['high']:+.2f}"
    return (
        f"Against {other['rows']}: {other['verdict']}, {points} ({interval}; "
        f"p = {other['p_value']:.2g})."
    )


def _losses_against(other: Mapping[str, Any]) -> str:
    def told(entry: Mapping[str, Any]) -> str:
        low, high = entry["low"], entry["high"]
        interval = "" if low is None else f" ({low:+.4f} to {high:+.4f})"
        return f"{entry['verdict']}, {entry['difference']:+.4f} bits per byte{interval}"

    mean = "on the mean over domains " if other["domains"] else ""
    first = f"Against {other['rows']}, {mean}by document: {told(other)}."
    return "\n".join([first, *(f"  {name}: {told(e)}" for name, e in other["domains"].items())])


def _interval(entry: Mapping[str, Any]) -> str:
    return f" ({100 * entry['low']:.1f} to {100 * entry['high']:.1f})"


def _bounds(entry: Mapping[str, Any], name: str, digits: int) -> str:
    low, high = entry[f"{name}_low"], entry[f"{name}_high"]
    return "" if low is None else f" ({low:.{digits}f} to {high:.{digits}f})"


def _letters(shares: Mapping[str, float]) -> str:
    return "  ".join(f"{letter} {percent(share)}" for letter, share in shares.items())


def _bits(result: Mapping[str, Any]) -> str:
    bits, error = result["bits_per_byte"], result["bits_per_byte_standard_error"]
    return "not known" if bits is None else f"{bits:.4f} ± {error:.4f}"


def _error(entry: Mapping[str, Any]) -> str:
    return "" if entry["standard_error"] is None else f" ± {entry['standard_error']:.4f}"
