"""Steps: the nodes of the graph that a study is laid out as."""

import abc
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.store import Artifact, Request, Store
from curricle.tasks.session import Session
from curricle.tasks.tracking import TrackedRun

MOST_NAMED = 3


class Step(abc.ABC):
    """One piece of a study: a node of a graph whose edges are `inputs`.

    Its identity (`request`) follows from spec and inputs alone, so that a whole study can be laid
    out, costed and compared with the store before anything runs. `kind` is the artifact's kind,
    `verb` what Prefect shows, `version` is raised when the code changes what the step makes.
    """

    kind: ClassVar[str]
    verb: ClassVar[str]
    version: ClassVar[int] = 1

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The artifact's name, for people."""

    @property
    @abc.abstractmethod
    def spec(self) -> Mapping[str, Any]:
        """What decides the artifact, besides its inputs."""

    @property
    def label(self) -> str:
        """Which one of its kind it is, for people."""
        return self.name

    @property
    def inputs(self) -> Mapping[str, "Step"]:
        """The steps whose artifacts it reads, by role."""
        return {}

    @property
    def aids(self) -> Sequence["Step"]:
        """The steps whose artifacts help to make it: they change the way there, not the result."""
        return ()

    @property
    def flops(self) -> int:
        """Expected floating-point operations; 0 where they don't count."""
        return 0

    @abc.abstractmethod
    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any] | None:
        """Fill `folder` from the inputs' folders and return facts for the record."""

    def tracked_run(self, session: Session) -> TrackedRun | None:
        """The run that MLflow shows for the finished step, if it shows one."""
        del session
        return None

    @functools.cached_property
    def request(self) -> Request:
        """Identity of the artifact."""
        inputs = {role: step.artifact for role, step in self.inputs.items()}
        return Request(self.kind, self.name, self.spec, inputs, self.version)

    @functools.cached_property
    def artifact(self) -> Artifact:
        """Reference to what the step makes; known before it exists."""
        return self.request.artifact


def first_named(steps: Sequence[Step]) -> tuple[str, ...]:
    """The first of the steps in words, as a page or a terminal has room for."""
    return tuple(f"{step.verb} {step.label}" for step in steps[:MOST_NAMED])


class InputFolders(Mapping[str, Path]):
    """Local folders of a step's inputs by role, each fetched from the store when asked for."""

    def __init__(self, store: Store, step: Step) -> None:
        self._store, self._inputs = store, step.inputs

    def __getitem__(self, role: str) -> Path:
        return self._store.folder(self._inputs[role].artifact)

    def __iter__(self) -> Iterator[str]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)


def with_inputs(steps: Sequence[Step], store: Store | None = None) -> Iterator[Step]:
    """`steps` and everything they need, inputs and aids first, each artifact once.

    What helps to make an artifact is left out where `store` has that.
    """
    seen: set[Artifact] = set()

    def visit(step: Step) -> Iterator[Step]:
        if step.artifact in seen:
            return
        seen.add(step.artifact)
        is_made = store is not None and bool(step.aids) and store.exists(step.artifact)
        for needed in (*step.inputs.values(), *(() if is_made else step.aids)):
            yield from visit(needed)
        yield step

    for step in steps:
        yield from visit(step)
