"""Steps that score samples in workers: statistics of their tokens, and losses under a proxy."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from curricle.core.jobs import SampleStatisticsSpec, ScoringPart, ScoringSpec
from curricle.core.plain import to_plain
from curricle.core.scores_file import write_scores
from curricle.core.store import Store
from curricle.core.token_dataset import TokenDataset
from curricle.models.flops import forward_flops_per_token
from curricle.models.jobs import Job
from curricle.recipes.ordering import Part, partition
from curricle.recipes.proxy_scores import best_checkpoint, proxy_scores, whole_losses
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step

if TYPE_CHECKING:
    from curricle.tasks.train import TrainingStep

# What one job scores at most; a dataset's shards are cut and joined to parts of this size. Small
# enough for all workers to have some, and to end at about the same time.
SAMPLES_PER_PART = 1 << 14
LOSSES = "losses.npy"


@dataclass(frozen=True)
class SampleStatisticsStep(Step):
    """Model-free scores of a dataset's samples; those of a bigram model read held-out text."""

    version: ClassVar[int] = 3
    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "score samples"
    statistics: SampleStatisticsSpec
    dataset: DatasetStep
    validation: DatasetStep | None = None

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-statistics"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's spec."""
        return {"scores": "sample-statistics", **to_plain(self.statistics)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset, and held-out text where it is read."""
        held_out = {"validation": self.validation} if self.validation else {}
        return {"dataset": self.dataset, **held_out}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Run the job in a worker."""
        return session.pool.run(Job("sample-statistics", self.statistics, inputs, folder))


@dataclass(frozen=True)
class LearnabilityStep(Step):
    """The scores that a proxy gives every sample of a dataset: learnability and its relatives."""

    version: ClassVar[int] = 2
    kind: ClassVar[str] = "scores"
    verb: ClassVar[str] = "score samples"
    scoring: ScoringSpec
    proxy: "TrainingStep"
    dataset: DatasetStep

    @property
    def name(self) -> str:
        """The dataset's name."""
        return f"{self.dataset.name}-learnability"

    @property
    def label(self) -> str:
        """Dataset, and the proxy's name and seed."""
        proxy = f"proxy {self.proxy.variant}".strip()
        return f"{self.name}, {proxy} of seed {self.proxy.training.seed}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's spec: the checkpoints' places in the proxy's run."""
        return {"scores": "learnability", **to_plain(self.scoring)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The proxy's checkpoint and the dataset."""
        return {"checkpoint": self.proxy, "dataset": self.dataset}

    def flops_over(self, tokens: int) -> int:
        """Operations of scoring a dataset of so many tokens under all checkpoints."""
        checkpoints = 1 + len(self.scoring.late)
        return checkpoints * tokens * forward_flops_per_token(self.proxy.training.model)

    def rows(self, store: Store) -> list[dict[str, Any]]:
        """The proxy's rows of the results table, its FLOPs those of its training and of scoring."""
        spent = store.facts(self.artifact)["flops"]
        return [
            {**row, "curriculum": "", "flops": row["flops"] + spent}
            for row in self.proxy.rows(store)
        ]

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Score the dataset's parts side by side, each resumable, and write all scores."""
        length = self.proxy.training.model.sequence_length
        dataset = TokenDataset(inputs["dataset"], length)
        sizes = [samples for _, samples in dataset.samples_by_shard()]
        parts = [
            ScoringPart(scoring=self.scoring, sequence_length=length, start=start, samples=samples)
            for start, samples in parts_of(sizes, SAMPLES_PER_PART)
        ]
        facts = self._run(session, inputs, folder, parts)
        read = [np.load(_place(folder, part) / LOSSES) for part in parts]
        losses_CHN = np.concatenate([*read], axis=2)
        for part in parts:
            (_place(folder, part) / LOSSES).unlink()
            _place(folder, part).rmdir()
        best = self._write(dataset, losses_CHN, folder)
        flops = sum(fact["flops"] for fact in facts)
        return {
            "samples": len(dataset),
            "flops": flops,
            "irreducible_from": best,
            "seconds": sum(fact["seconds"] for fact in facts),
        }

    def _run(
        self,
        session: Session,
        inputs: Mapping[str, Path],
        folder: Path,
        parts: Sequence[ScoringPart],
    ) -> list[dict[str, Any]]:
        unfinished = session.store.unfinished(self.artifact)

        def run(part: ScoringPart) -> dict[str, Any]:
            output = _place(folder, part)
            output.mkdir()
            job = Job("score", part, inputs, output, f"{unfinished}/{output.name}")
            return session.pool.run(job)

        with ThreadPoolExecutor(session.pool.size) as executor:
            return list(executor.map(run, parts))

    def _write(
        self, dataset: TokenDataset, losses_CHN: npt.NDArray[np.float64], folder: Path
    ) -> int:
        """Write scores and losses; returns the tokens of the irreducible loss's checkpoint."""
        losses_CN = whole_losses(losses_CHN, dataset.sequence_length)
        pool = self.proxy.order.random.pool
        part: Part = "target" if pool.part == "proxy" else "all"
        best = best_checkpoint(losses_CN, partition(len(dataset), pool.holdout, pool.seed, part))
        first, second = (proxy_scores(losses_CHN[:, half], best) for half in (0, 1))
        halves = {name: np.stack([first[name], second[name]]) for name in first}
        domains = [dataset.domains[index] for index in dataset.domain_of_samples()]
        write_scores(folder, domains, proxy_scores(losses_CN, best), halves)
        np.save(folder / LOSSES, losses_CN, allow_pickle=False)
        return (self.scoring.early, *self.scoring.late)[best]


def parts_of(sizes: Sequence[int], largest: int) -> Iterator[tuple[int, int]]:
    """(start, samples) of parts of at most `largest` samples, in order.

    Shards of these `sizes` are cut where they are larger, and joined while they fit.
    """
    start = samples = 0
    for size in sizes:
        for first in range(0, size, largest):
            piece = min(largest, size - first)
            if samples + piece > largest:
                yield start, samples
                start, samples = start + samples, 0
            samples += piece
    if samples:
        yield start, samples


def _place(folder: Path, part: ScoringPart) -> Path:
    return folder / f"part-{part.start}"
