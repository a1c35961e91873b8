"""The step that takes over scores which another study, or another program, has made."""

import functools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.analysis.costs import training_seconds
from curricle.core.errors import InputError, IntegrityError
from curricle.core.scores_file import SCORES, read_scores
from curricle.core.store import Artifact, Store
from curricle.core.token_dataset import TokenDataset
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.order import Pool
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class ScoringCost:
    """What scores took to make, training of proxies included: operations and seconds of jobs."""

    flops: float
    seconds: float


@dataclass(frozen=True)
class GivenScoresStep(Step):
    """Scores of the same dataset that a study names: an artifact of any store.

    `targets` is the pool of the runs that read by them, where their proxies must not have read.
    """

    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "read scores"
    address: str
    column: str
    dataset: DatasetStep
    sequence_length: int
    targets: Pool | None = None

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-given"

    @functools.cached_property
    def given(self) -> tuple[Store, Artifact]:
        """Store and artifact.

        Raises InputError if there is none, it is of another dataset or lacks numbers, or a proxy
        was trained on samples that targets read.
        """
        root, *key = self.address.rstrip("/").rsplit("/", 3)
        if len(key) == 3 and key[0] == "scores":
            store, artifact = Store(root, create=False), Artifact(*key)
            if store.exists(artifact):
                self._check_dataset(store.record(artifact)["inputs"])
                self._check_proxies(store, artifact)
                _scored_samples(self.address, self.column)
                return store, artifact
        raise InputError(
            f"scores {self.address}: not there",
            expected="STORE/scores/NAME/FINGERPRINT with a record.json in it",
            fix="correct the address",
        )

    @property
    def cost(self) -> ScoringCost | None:
        """What the scores took, by the records of their store; None where one is missing."""
        try:
            made = set(_made_by(*self.given))
            facts = {artifact: self.given[0].facts(artifact) for artifact in made}
        except IntegrityError:
            return None
        return ScoringCost(
            flops=sum(map(_flops, facts.values())),
            seconds=sum(map(training_seconds, facts.values())),
        )

    @property
    def spec(self) -> Mapping[str, Any]:
        """Which scores."""
        return {"scores": "given", "content": self.given[1].fingerprint}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset whose samples they score."""
        return {"dataset": self.dataset}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Copy the scores."""
        del session
        store, artifact = self.given
        self.check(inputs["dataset"])
        shutil.copyfile(store.folder(artifact) / SCORES, folder / SCORES)
        return {"samples": _scored_samples(self.address, self.column), "flops": 0}

    def check(self, dataset: Path) -> None:
        """Raise InputError unless there is a score for each sample of the dataset in a folder."""
        _ = self.given
        found = _scored_samples(self.address, self.column)
        samples = len(TokenDataset(dataset, self.sequence_length))
        if found != samples:
            raise InputError(
                f"scores {self.address}: {found} samples",
                expected=f"the {samples} samples of dataset {self.dataset.name}",
                fix="score it with the sequence_length of this study",
            )

    def _check_dataset(self, inputs: Mapping[str, str]) -> None:
        scored = inputs.get("dataset", "none")
        if scored.rpartition("/")[2] != self.dataset.artifact.fingerprint:
            raise InputError(
                f"scores {self.address}: of dataset {scored}",
                expected=f"scores of {self.dataset.artifact.key}",
                fix="order the recipe that was scored, or score this one",
            )

    def _check_proxies(self, store: Store, scores: Artifact) -> None:
        """As far as the store has their records."""
        targets = self.targets
        for pool in _pools_of_proxies(store, scores) if targets else ():
            assert targets is not None
            # The parts of one seed are nested: a smaller holdout is a part of a larger one.
            if (
                (pool["part"], pool.get("seed")) != ("proxy", targets.seed)
                or pool["sequence_length"] != targets.sequence_length
                or pool["holdout"] > targets.holdout
            ):
                read = ", ".join(f"{key} {value}" for key, value in pool.items())
                raise InputError(
                    f"scores {self.address}: of a proxy that may have read what targets read "
                    f"({read})",
                    expected=f"one trained on the proxies' part of seed {targets.seed} with "
                    f"scoring.holdout {targets.holdout} or less",
                    fix="give both studies the same seed and scoring.holdout",
                )


@functools.lru_cache(maxsize=64)
def _scored_samples(address: str, column: str) -> int:
    """How many samples have a score; what is stored never changes, so it is read once.

    Raises InputError if one has no number.
    """
    root, *key = address.rstrip("/").rsplit("/", 3)
    try:
        return len(read_scores(Store(root, create=False).folder(Artifact(*key)), column))
    except InputError as error:
        raise InputError(
            f"scores {address}: {error.found}", expected=error.expected, fix=error.fix
        ) from None


def _made_by(store: Store, artifact: Artifact) -> Iterator[Artifact]:
    """An artifact, and the scores and checkpoints that it was made from.

    Raises IntegrityError where a record is missing, or the scores were themselves taken over.
    """
    record = store.record(artifact)
    if record["spec"].get("scores") == "given":
        raise IntegrityError(f"{artifact.key}: made in another store")
    yield artifact
    for key in record["inputs"].values():
        if (made := Artifact(*key.split("/"))).kind in ("scores", "checkpoint"):
            yield from _made_by(store, made)


def _flops(facts: Mapping[str, Any]) -> float:
    """Operations by the facts of a checkpoint, or of scores."""
    names = ("training_flops", "selection_flops", "flops")
    return float(sum(facts.get(name, 0) for name in names))


def _pools_of_proxies(store: Store, scores: Artifact) -> Iterator[Mapping[str, Any]]:
    """Of what each proxy read, as far as there are records of it."""
    try:
        proxies = [made for made in _made_by(store, scores) if made.kind == "checkpoint"]
        for proxy in proxies:
            key: str | None = store.record(proxy)["inputs"]["order"]
            while key is not None:
                order = store.record(Artifact(*key.split("/")))
                key = order["inputs"].get("base")
                if "pool" in order["spec"]:
                    yield order["spec"]["pool"]
    except IntegrityError:
        return
