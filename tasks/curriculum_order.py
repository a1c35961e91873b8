"""Steps that precompute what a run reads under a curriculum, and under its controls."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import Order, blank_order, read_order, read_read, write_order
from curricle.core.scores_file import column_of, read_scores
from curricle.recipes.ordering import (
    SampleTable,
    check_epochs,
    curriculum_order,
    random_order,
    reshuffled,
)
from curricle.recipes.ordering.blocks import blocks
from curricle.recipes.specs.curricula import GrowingPool, Oversampled, Precomputed, Stages
from curricle.tasks.order import CHOSEN, OrderStep, RandomOrderStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step

Arm = Literal["curriculum", "anti", "reshuffled"]


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
    def drawing(self) -> str:
        """As the curriculum says."""
        return _drawing_of(self.curriculum)

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
        base, table = self.read_inputs(inputs, folder)
        order = curriculum_order(
            self.curriculum,
            table,
            base,
            batch_size=self.batch_size,
            seed=self.base.seed,
            anti=self.arm == "anti",
            out=blank_order(folder, len(base)),
        )
        order = reshuffled(order, self.base.seed, order) if self.arm == "reshuffled" else order
        write_order(folder, order)
        return {"drawing": self.drawing, **order_facts(order, base, table)}

    def read_inputs(self, inputs: Mapping[str, Path], folder: Path) -> tuple[Order, SampleTable]:
        """The random order and the samples with the scores in `inputs`, both in mapped files.

        That of the scores is in `folder`, without a name.
        """
        column = column_of(self.curriculum.score)
        scores = read_scores(inputs["scores"], column, mapped_in=folder)
        table = self._table(inputs["dataset"], scores)
        return read_order(inputs["base"], len(table.domains), mapped=True), table

    def check(self, dataset: Path) -> None:
        """Raise InputError if there are too few samples for it in the dataset in a folder.

        That doesn't depend on the scores: the order is made with any. How often `oversampled-v`
        chooses a sample does, so that only a run which no choice could fill is told.
        """
        is_limited = isinstance(self.curriculum, Stages) or self.curriculum.max_repeats is not None
        if not is_limited or self.arm == "reshuffled":
            return
        table = self._table(dataset)
        if isinstance(self.curriculum, Oversampled):
            check_epochs(self.curriculum, self.base.count, len(table.pool))
            return
        with tempfile.TemporaryDirectory() as folder:
            base = blank_order(Path(folder), self.base.count)
            curriculum_order(
                self.curriculum,
                table,
                random_order(table.pool, self.base.count, self.base.seed, base),
                batch_size=self.batch_size,
                seed=self.base.seed,
                anti=self.arm == "anti",
            )

    def _table(self, folder: Path, scores: npt.NDArray[np.float64] | None = None) -> SampleTable:
        dataset, pool = self.base.pool.open(folder)
        in_pool = np.zeros(len(dataset), dtype=bool)
        in_pool[pool] = True
        del pool
        return SampleTable(
            scores=np.zeros(len(dataset)) if scores is None else scores,
            domains=dataset.domain_of_samples(),
            names=tuple(dataset.domains),
            in_pool=in_pool,
        )


def _drawing_of(curriculum: Precomputed) -> str:
    return f"{'with' if curriculum.is_with_replacement else 'without'} replacement"


def order_facts(order: Order, base: Order, table: SampleTable) -> dict[str, Any]:
    """How much an order repeats, how much of it the random one reads too, its domains' shares."""
    reads = np.bincount(order, minlength=len(table.domains))
    in_base = np.zeros(len(table.domains), dtype=bool)
    in_base[base] = True
    by_domain, shared = np.zeros(len(table.names), dtype=np.int64), 0
    for block in blocks(len(order)):
        by_domain += np.bincount(table.domains[order[block]], minlength=len(table.names))
        shared += int(np.count_nonzero(in_base[order[block]]))
    return {
        "distinct_samples": int(np.count_nonzero(reads)),
        "most_reads_of_a_sample": int(reads.max()),
        "share_also_in_random": shared / len(order),
        "domain_shares": dict(zip(table.names, (by_domain / len(order)).tolist(), strict=True)),
    }


@dataclass(frozen=True)
class RescoredOrderStep(OrderStep):
    """A curriculum that goes on, after `begun` samples, by scores measured in mid-run."""

    arm_name: str
    arm: Arm
    curriculum: GrowingPool
    static: CurriculumOrderStep
    scores: Step
    begun: int

    @property
    def random(self) -> RandomOrderStep:
        """The random order whose domains, seed and pool it takes over."""
        return self.static.base

    @property
    def drawing(self) -> str:
        """As the curriculum says."""
        return _drawing_of(self.curriculum)

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.arm_name

    @property
    def spec(self) -> Mapping[str, Any]:
        """Arm, and where it is ranked anew; the settings are those of the order it begins as."""
        spec = {"order": "rescored", "arm": self.arm, "begun": self.begun}
        if self.curriculum.max_repeats is not None:
            # Orders made when a cap took all that had been read for read once are other ones.
            spec["capped"] = "over both parts"
        return spec

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset, the random order, the order it begins as, and the fresh scores."""
        base = self.static.base
        return {
            "dataset": base.dataset,
            "base": base,
            "static": self.static,
            "scores": self.scores,
        }

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `order.npy`; the reshuffled control is the curriculum's own order, permuted."""
        del session
        base, table = self.static.read_inputs(inputs, folder)
        order = curriculum_order(
            self.curriculum,
            table,
            base,
            batch_size=self.static.batch_size,
            seed=self.random.seed,
            anti=self.arm == "anti",
            already=read_order(inputs["static"], len(table.domains), mapped=True)[: self.begun],
            out=blank_order(folder, len(base)),
        )
        order = reshuffled(order, self.random.seed, order) if self.arm == "reshuffled" else order
        write_order(folder, order)
        return {"drawing": self.drawing, **order_facts(order, base, table)}


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
    def drawing(self) -> str:
        """That of the run."""
        return CHOSEN

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
        return {"drawing": self.drawing, "distinct_samples": len(np.unique(read))}
