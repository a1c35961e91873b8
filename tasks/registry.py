"""Which artifacts each study of a store refers to, and which none does.

A study notes in the store what it needs, as it goes. An artifact is garbage if no note leads to it:
not directly, and not through the inputs of an artifact that one does.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from curricle.core.errors import InputError
from curricle.core.store import Artifact, Store
from curricle.tasks.ladder.finding import ScalingStep
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.plans import AnyPlan
from curricle.tasks.report import report_step
from curricle.tasks.step import Step


@dataclass(frozen=True)
class Garbage:
    """What none of `studies` refers to: artifacts with their bytes, and artifacts' unfinished work.

    `kept` counts the artifacts that a study refers to, `young` those that none refers to yet.
    """

    studies: tuple[str, ...]
    forgotten: tuple[str, ...]
    artifacts: Mapping[Artifact, int]
    unfinished: tuple[Artifact, ...]
    kept: int
    young: int

    @property
    def bytes(self) -> int:
        """Size of all artifacts together."""
        return sum(self.artifacts.values())


def register(plan: AnyPlan, store: Store) -> None:
    """Note the artifacts that the study needs, its report included, as far as can be told now."""
    needed = {step.artifact.key for steps in plan.layout(store).values() for step in steps}
    last = _last_step(plan, store)
    needed.add(last.artifact.key)
    updated = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"updated": updated, "artifacts": sorted(needed)}
    store.write_note(plan.study.name, json.dumps(note, indent=1) + "\n")


def _last_step(plan: AnyPlan, store: Store) -> Step:
    if isinstance(plan, LadderPlan):
        return ScalingStep.present(plan, store)
    return report_step(plan, store)


def registered(store: Store) -> dict[str, frozenset[str]]:
    """Keys of the artifacts that each study has noted."""
    return {name: frozenset(json.loads(text)["artifacts"]) for name, text in store.notes().items()}


def find_garbage(store: Store, older_than: timedelta, forgotten: Collection[str] = ()) -> Garbage:
    """What no study but the `forgotten` refers to and is older than `older_than`.

    A study under way notes some of what it needs late. Raises InputError if a forgotten study isn't
    known to the store.
    """
    studies = registered(store)
    if unknown := sorted(set(forgotten) - set(studies)):
        raise InputError(
            f"study {unknown[0]!r}",
            expected=f"one that the store knows: {', '.join(studies) or 'none'}",
            fix="check the name",
        )
    records = {artifact: store.record(artifact) for artifact in store.artifacts()}
    roots = [keys for name, keys in studies.items() if name not in forgotten]
    wanted = _reachable(records, frozenset().union(*roots))
    loose = {artifact: record for artifact, record in records.items() if artifact.key not in wanted}
    newest = datetime.now(UTC) - older_than
    dead = {
        artifact: sum(entry["bytes"] for entry in record["files"].values())
        for artifact, record in loose.items()
        if datetime.fromisoformat(record["created"]) <= newest
    }
    unfinished = tuple(item for item in store.unfinished_artifacts() if item.key not in wanted)
    return Garbage(
        studies=tuple(sorted(set(studies) - set(forgotten))),
        forgotten=tuple(forgotten),
        artifacts=dead,
        unfinished=unfinished,
        kept=len(records) - len(loose),
        young=len(loose) - len(dead),
    )


def collect(store: Store, garbage: Garbage) -> None:
    """Delete it. Whoever needs such an artifact later makes it again."""
    for study in garbage.forgotten:
        store.write_note(study, None)
        store.write_page(study, None)
    for artifact in garbage.artifacts:
        store.remove(artifact)
    for artifact in garbage.unfinished:
        store.drop_unfinished(artifact)


def _reachable(
    records: Mapping[Artifact, Mapping[str, Any]], roots: Collection[str]
) -> frozenset[str]:
    """Keys of `roots` and of everything they were made from."""
    inputs = {artifact.key: record["inputs"].values() for artifact, record in records.items()}
    seen, waiting = set(roots), list(roots)
    while waiting:
        new = set(inputs.get(waiting.pop(), ())) - seen
        seen |= new
        waiting += new
    return frozenset(seen)
