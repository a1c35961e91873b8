"""Steps that precompute what a run reads, and when."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import Order, read_order, read_read, write_order
from curricle.core.scores_file import column_of, read_scores
from curricle.core.token_dataset import TokenDataset
from curricle.recipes.ordering import (
    Part,
    SampleTable,
    curriculum_order,
    partition,
    random_order,
    reshuffled,
    sorted_order,
)
from curricle.recipes.specs.curricula import Oversampled, Precomputed
from curricle.recipes.specs.recipe import OrderSpec
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step

Arm = Literal["curriculum", "anti", "reshuffled"]


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


@dataclass(frozen=True)
class OrderStep(Step):
    """Base of the orders: one for each run's seed."""

    kind: ClassVar[str] = "order"
    verb: ClassVar[str] = "order"

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
    """`count` samples of a pool in random order."""

    dataset: DatasetStep
    pool: Pool
    count: int
    seed: int

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
        """Pool, count and seed."""
        return {"order": "random", "pool": self.pool.spec, "count": self.count, "seed": self.seed}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset."""
        return {"dataset": self.dataset}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `order.npy`."""
        del session
        _, samples = self.pool.open(inputs["dataset"])
        write_order(folder, random_order(samples, self.count, self.seed))
        return {"epochs": self.count / len(samples)}


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
        settings = self.order.model_dump(mode="json", exclude={"scores", "folds"})
        folds = {"folds": self.order.folds} if self.order.direction == "interleaved" else {}
        return {"order": "sorted", **settings, **folds}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The random order and the scores."""
        return {"base": self.base, "scores": self.scores}

    def build(self, session: Session, inputs: Mapping[str, Path], folder: Path) -> None:
        """Write `order.npy`."""
        del session
        scores = read_scores(inputs["scores"], self.order.column)
        base = read_order(inputs["base"], len(scores))
        write_order(folder, sorted_order(base, scores, self.order.direction, self.order.folds))


@dataclass(frozen=True)
class CurriculumOrderStep(OrderStep):
    """A curriculum, its anti-curriculum, or its own samples reshuffled."""

    version: ClassVar[int] = 2
    arm_name: str
    arm: Arm
    curriculum: Precomputed
    base: RandomOrderStep
    scores: Step
    batch_size: int

    @property
    def random(self) -> RandomOrderStep:
        """The random order whose domains, seed and pool it takes over."""
        return self.base

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.arm_name

    @property
    def spec(self) -> Mapping[str, Any]:
        """Arm and settings; the size of a batch where batches are chosen one by one."""
        settings = self.curriculum.model_dump(mode="json", exclude={"scores", "seeds"})
        spec = {"order": "curriculum", "arm": self.arm, **settings}
        if isinstance(self.curriculum, Oversampled):
            spec["batch_size"] = self.batch_size
        return spec

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset, the random order and the scores."""
        return {"dataset": self.base.dataset, "base": self.base, "scores": self.scores}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `order.npy`; the reshuffled control is the curriculum's own order, permuted."""
        del session
        dataset, pool = self.base.pool.open(inputs["dataset"])
        base = read_order(inputs["base"], len(dataset))
        table = SampleTable(
            scores=read_scores(inputs["scores"], column_of(self.curriculum.score)),
            domains=dataset.domain_of_samples(),
            names=tuple(dataset.domains),
            pool=pool,
        )
        order = curriculum_order(
            self.curriculum,
            table,
            base,
            batch_size=self.batch_size,
            seed=self.base.seed,
            anti=self.arm == "anti",
        )
        order = reshuffled(order, self.base.seed) if self.arm == "reshuffled" else order
        write_order(folder, order)
        drawing = "with" if self.curriculum.is_with_replacement else "without"
        return {"drawing": f"{drawing} replacement", **order_facts(order, base, table)}


def order_facts(order: Order, base: Order, table: SampleTable) -> dict[str, Any]:
    """How much an order repeats, how much of it the random one reads too, its domains' shares."""
    reads = np.bincount(order, minlength=len(table.domains))
    in_base = np.zeros(len(table.domains), dtype=bool)
    in_base[base] = True
    by_domain = np.bincount(table.domains[order], minlength=len(table.names)) / len(order)
    return {
        "distinct_samples": int(np.count_nonzero(reads)),
        "most_reads_of_a_sample": int(reads.max()),
        "share_also_in_random": float(in_base[order].mean()),
        "domain_shares": dict(zip(table.names, by_domain.tolist(), strict=True)),
    }


@dataclass(frozen=True)
class ReadReshuffledStep(OrderStep):
    """The samples that a run chose while it trained, in random order."""

    arm_name: str
    run: Step
    base: RandomOrderStep

    @property
    def random(self) -> RandomOrderStep:
        """The random order with the same seed."""
        return self.base

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.arm_name

    @property
    def spec(self) -> Mapping[str, Any]:
        """The seed."""
        return {"order": "read-reshuffled", "seed": self.base.seed}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The run."""
        return {"run": self.run}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `order.npy`."""
        del session
        read = read_read(inputs["run"])
        assert read is not None
        write_order(folder, reshuffled(read, self.base.seed))
        return {"distinct_samples": len(np.unique(read))}
