"""Steps that precompute what a run reads, and when."""

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import blank_order, read_order, write_order
from curricle.core.scores_file import read_scores
from curricle.core.token_dataset import TokenDataset
from curricle.recipes.ordering import (
    Part,
    check_mix,
    mixed_order,
    partition,
    random_order,
    sorted_order,
)
from curricle.recipes.specs.recipe import OrderSpec
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class Pool:
    """The samples that a run may read: a part of the dataset at a sequence length.

    `proxy` and `target` share the samples out by chance, `holdout` of them to the proxy; `seed` is
    the study's, so that all runs agree.
    """

    part: Part
    sequence_length: int
    holdout: float
    seed: int

    def open(self, folder: Path) -> tuple[TokenDataset, npt.NDArray[np.int64]]:
        """The dataset in `folder`, and the ids of the samples in this pool."""
        dataset = TokenDataset(folder, self.sequence_length)
        return dataset, partition(len(dataset), self.holdout, self.seed, self.part)

    @property
    def spec(self) -> dict[str, Any]:
        """What identifies the pool besides its dataset."""
        spec: dict[str, Any] = {"sequence_length": self.sequence_length, "part": self.part}
        return spec if self.part == "all" else {**spec, "holdout": self.holdout, "seed": self.seed}


CHOSEN = "chosen from candidates drawn without replacement"
"""The drawing of a run that chooses while it trains."""


class Repeats(NamedTuple):
    """An order's different samples, and the reads of the most read one; None where not known."""

    distinct_samples: int | None
    most_reads: int | None


@dataclass(frozen=True)
class OrderStep(Step):
    """Base of the orders: one for each run's seed."""

    kind: ClassVar[str] = "order"
    verb: ClassVar[str] = "order"

    @property
    def drawing(self) -> str:
        """Whether a sample may be drawn again while others haven't been read."""
        return "without replacement"

    def repeats(self, facts: Mapping[str, Any]) -> Repeats:
        """What it repeats, by its record's facts."""
        return Repeats(facts.get("distinct_samples"), facts.get("most_reads_of_a_sample"))

    @property
    def label(self) -> str:
        """Name and seed."""
        return f"{self.name}, seed {self.random.seed}"

    @property
    @abc.abstractmethod
    def random(self) -> "RandomOrderStep":
        """The random order it starts from, itself in the simplest case."""


@dataclass(frozen=True)
class RandomOrderStep(OrderStep):
    """`count` samples of a pool in random order; with a `mix`, of domains by these weights."""

    dataset: DatasetStep
    pool: Pool
    count: int
    seed: int
    mix: Mapping[str, float] | None = None

    @property
    def random(self) -> "RandomOrderStep":
        """This order."""
        return self

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-random"

    @property
    def spec(self) -> Mapping[str, Any]:
        """Pool, count and seed; the mix, where there is one."""
        spec = {"order": "random", "pool": self.pool.spec, "count": self.count, "seed": self.seed}
        return spec if self.mix is None else {**spec, "mix": dict(self.mix)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset."""
        return {"dataset": self.dataset}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `order.npy`."""
        del session
        dataset, samples = self.pool.open(inputs["dataset"])
        if self.mix is None:
            write_order(folder, random_order(samples, self.count, self.seed))
            return {"drawing": self.drawing, "epochs": self.count / len(samples)}
        by_domain = self._by_domain(dataset, samples)
        write_order(folder, mixed_order(by_domain, self.mix, self.count, self.seed))
        epochs = self.count / sum(len(by_domain[name]) for name in self.mix)
        return {"drawing": self.drawing, "epochs": epochs}

    def repeats(self, facts: Mapping[str, Any]) -> Repeats:
        """By its epochs; with a mix those differ by domain, and nothing is known."""
        if self.mix is not None:
            return Repeats(None, None)
        epochs = facts["epochs"]
        return Repeats(round(self.count / max(epochs, 1)), math.ceil(epochs))

    def check(self, folder: Path) -> None:
        """Raise InputError if a domain of the mix has no samples in the dataset in a folder."""
        if self.mix is not None:
            check_mix(self._by_domain(*self.pool.open(folder)), self.mix)

    def _by_domain(
        self, dataset: TokenDataset, samples: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.int64]]:
        domains = dataset.domain_of_samples()[samples]
        return {name: samples[domains == index] for index, name in enumerate(dataset.domains)}


@dataclass(frozen=True)
class SortedOrderStep(OrderStep):
    """The samples of a random order, sorted by a score."""

    recipe_name: str
    order: OrderSpec
    base: RandomOrderStep
    scores: Step

    @property
    def random(self) -> RandomOrderStep:
        """The order that is sorted."""
        return self.base

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe_name

    @property
    def spec(self) -> Mapping[str, Any]:
        """Score and arrangement."""
        order = self.order
        folds = {"folds": order.folds} if order.direction == "interleaved" else {}
        return {"order": "sorted", "by": order.score, "direction": order.direction, **folds}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The random order and the scores."""
        return {"base": self.base, "scores": self.scores}

    def build(self, session: Session, inputs: Mapping[str, Path], folder: Path) -> None:
        """Write `order.npy`."""
        del session
        scores = read_scores(inputs["scores"], self.order.column, mapped_in=folder)
        base = read_order(inputs["base"], len(scores), mapped=True)
        out = blank_order(folder, len(base))
        order = sorted_order(base, scores, self.order.direction, self.order.folds, out)
        write_order(folder, order)
