"""What a recipe's steps dropped, with examples: the rule, its value and its threshold."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curricle.core.errors import InputError
from curricle.core.store import Store
from curricle.recipes.dropped import DROPPED, Example, read_dropped
from curricle.tasks.documents import DocumentsStep
from curricle.tasks.plan import StudyPlan

WIDTH = 160


@dataclass(frozen=True)
class DroppedByStep:
    """One step of a recipe: how many it saw, what it dropped for which reason, and examples."""

    step: str
    seen: int
    dropped: dict[str, int]
    examples: list[dict[str, Any]]

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def dropped_of(
    plan: StudyPlan, store: Store, recipe: str, reason: str | None, count: int
) -> list[DroppedByStep]:
    """What the steps of a prepared recipe dropped; `count` examples a reason, or all with 0.

    Raises InputError if the recipe isn't known or not prepared, or has no such reason.
    """
    if recipe not in plan.preparation.datasets:
        raise InputError(
            f"recipe {recipe!r}",
            expected=f"one of {', '.join(plan.preparation.datasets)}",
            fix="name a recipe of the study",
        )
    steps = [_dropped_by(step, store, count) for step in _chain(plan, recipe)]
    known = sorted({name for step in steps for name in step.dropped})
    if reason is not None and reason not in known:
        raise InputError(
            f"reason {reason!r}",
            expected=f"one for which {recipe} dropped documents ({', '.join(known) or 'none'})",
            fix="leave --reason out to see all",
        )
    return [_only(step, reason) for step in steps if reason is None or reason in step.dropped]


def render_dropped(steps: Sequence[DroppedByStep]) -> str:
    """The same for the terminal."""
    return "\n".join(line for step in steps for line in _lines(step)) or "nothing was dropped"


def _chain(plan: StudyPlan, recipe: str) -> list[DocumentsStep]:
    """The recipe's steps, the first one first."""
    steps: list[DocumentsStep] = []
    step = plan.preparation.datasets[recipe].documents
    while isinstance(step, DocumentsStep):
        steps.insert(0, step)
        step = step.documents
    return steps


def _dropped_by(step: DocumentsStep, store: Store, count: int) -> DroppedByStep:
    if not store.exists(step.artifact):
        raise InputError(
            f"step {step.name} isn't prepared",
            expected="a prepared recipe",
            fix="run curricle prepare without --show-dropped first",
        )
    account = store.facts(step.artifact)
    totals = {reason: sum(domains.values()) for reason, domains in account["dropped"].items()}
    examples = read_dropped(store.folder(step.artifact) / DROPPED)
    chosen = [
        example._asdict()
        for reason in totals
        for example in _one_domain_after_the_other(examples, reason)[: count or None]
    ]
    return DroppedByStep(step.name, account["seen"], totals, chosen)


def _one_domain_after_the_other(examples: Sequence[Example], reason: str) -> list[Example]:
    """The examples of one reason, those of all domains in turn."""
    turns: Counter[str] = Counter()
    placed = []
    for example in examples:
        if example.reason == reason:
            turns[example.domain] += 1
            placed.append((turns[example.domain], example.domain, example))
    return [example for *_, example in sorted(placed, key=lambda place: place[:2])]


def _only(step: DroppedByStep, reason: str | None) -> DroppedByStep:
    if reason is None:
        return step
    examples = [example for example in step.examples if example["reason"] == reason]
    return DroppedByStep(step.step, step.seen, {reason: step.dropped[reason]}, examples)


def _lines(step: DroppedByStep) -> Iterator[str]:
    yield f"{step.step}: {sum(step.dropped.values()):,} of {step.seen:,} documents dropped"
    for reason, count in step.dropped.items():
        yield f"  {reason}: {count:,}"
        for example in step.examples:
            if example["reason"] == reason:
                yield f"    {example['domain']}  {example['id']}{_why(example)}"
                yield f"      {' '.join(example['excerpt'].split())[:WIDTH]}"


def _why(example: dict[str, Any]) -> str:
    parts = [
        f"{name} {example[name]:.4g}"
        for name in ("value", "threshold")
        if example[name] is not None
    ]
    parts += [f"kept: {example['kept']}"] if example["kept"] else []
    return f"  ({', '.join(parts)})" if parts else ""
