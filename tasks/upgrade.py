"""What an upgrade of the code makes anew: missing artifacts that the store has from other versions.

A step's version is part of its artifact's identity. So what another version has made is never taken
for what this one would make, what hasn't changed is found as ever, and the records tell which of
the missing artifacts are missing for that reason.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curricle.core.plain import to_plain
from curricle.core.store import Artifact, Store

if TYPE_CHECKING:  # steps know the session, and the session this
    from curricle.tasks.step import Step


@dataclass(frozen=True)
class Change:
    """A kind of step whose version `made_by` has made what the store has."""

    step: type["Step"]
    made_by: int

    @property
    def distance(self) -> int:
        """How many versions ago that was."""
        return abs(self.step.version - self.made_by)

    def __str__(self) -> str:
        return f"`{self.step.verb}`, version {self.made_by}, now {self.step.version}"


Changes = frozenset[Change]
FROM_INPUTS = "what was made from them"


class Upgrade:
    """Compares missing steps with what a store has had from the beginning of this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._compared: dict[tuple[Artifact, Artifact], Changes | None] = {}

    def reasons(self, missing: Iterable["Step"]) -> dict[Artifact, str]:
        """Why those of the missing steps are made anew that another version has made already."""
        found = {}
        for step in missing:
            if changes := self._changes(step):
                own = (str(change) for change in changes if change.step is type(step))
                found[step.artifact] = next(own, FROM_INPUTS)
        return found

    def _changes(self, step: "Step") -> Changes:
        """What differs from the nearest version of the step's artifact; nothing without one."""
        same_name = self._known.get((step.kind, step.name), ())
        found = [changes for item in same_name if (changes := self._between(step, item))]
        nearest = min(found, key=lambda changes: sum(one.distance for one in changes), default=None)
        return nearest or frozenset()

    @functools.cached_property
    def _known(self) -> Mapping[tuple[str, str], list[Artifact]]:
        known: dict[tuple[str, str], list[Artifact]] = {}
        for artifact in self._store.artifacts():
            known.setdefault((artifact.kind, artifact.name), []).append(artifact)
        return known

    def _between(self, step: "Step", artifact: Artifact) -> Changes | None:
        """Versions that differ between a step and an artifact; None if anything else does."""
        key = step.artifact, artifact
        if step.artifact == artifact:
            return frozenset()
        if key not in self._compared:
            present = artifact in self._known.get((artifact.kind, artifact.name), ())
            self._compared[key] = self._compare(step, artifact) if present else None
        return self._compared[key]

    def _compare(self, step: "Step", artifact: Artifact) -> Changes | None:
        record = self._store.record(artifact)
        changed = record["version"] != step.version
        spec, inputs = to_plain(step.spec), record["inputs"]
        if artifact.kind != step.kind or not _agree(spec, record["spec"], changed):
            return None
        if set(inputs) != set(step.inputs) and not changed:
            return None
        changes = {Change(type(step), record["version"])} if changed else set()
        for role in inputs.keys() & step.inputs.keys():
            found = self._between(step.inputs[role], Artifact(*inputs[role].split("/")))
            if found is None:
                return None
            changes |= found
        return frozenset(changes)


def _agree(ours: Any, theirs: Any, changed: bool) -> bool:
    """Whether two specs are the same; another version may have had other keys (`changed`)."""
    if not changed or not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return bool(ours == theirs)
    return all(_agree(ours[key], theirs[key], changed) for key in ours.keys() & theirs.keys())


def describe_rebuilt(counts: Mapping[str, int]) -> Iterator[str]:
    """A line on artifacts that are made anew, counted by reason; none without any."""
    if not counts:
        return
    listed = ", ".join(f"{count} of {reason}" for reason, count in sorted(counts.items()))
    number = sum(counts.values())
    what = "artifact that another version" if number == 1 else "artifacts that other versions"
    yield f"upgrade: {number} {what} of the code made, anew: {listed}; the rest is kept"
