"""What can be told of a recipe without training on it: one job kind each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.jobs import NgramSpec, StartSpec
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.models.flops import forward_flops_per_token
from curricle.models.jobs import Job
from curricle.tasks.session import Session
from curricle.tasks.step import Step
from curricle.tasks.tracking import TrackedRun
from curricle.tasks.train import TrainingStep

JOB_KINDS: dict[type[StartSpec | NgramSpec], str] = {StartSpec: "start", NgramSpec: "n-grams"}
TRACKED = (
    "gradient_cosine",
    "update_cosine",
    "gain",
    "largest_eigenvalue",
    "preconditioned_eigenvalue",
)


@dataclass(frozen=True)
class BaselineStep(Step):
    """A measurement of what `run` reads and where it starts; the run itself isn't needed."""

    kind: ClassVar[str] = "evaluation"
    verb: ClassVar[str] = "measure"
    run: TrainingStep
    measurement: StartSpec | NgramSpec

    @property
    def job_kind(self) -> str:
        """`start` or `n-grams`."""
        return JOB_KINDS[type(self.measurement)]

    @property
    def name(self) -> str:
        """Kind of measurement, and the order that names the recipe."""
        return f"{self.job_kind}-{self.run.order.name}-seed{self.run.training.seed}"

    @property
    def label(self) -> str:
        """Kind of measurement, recipe and seed."""
        return f"{self.job_kind} of {self.run.recipe}, seed {self.run.training.seed}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's kind and spec."""
        return {"evaluation": self.job_kind, **to_plain(self.measurement)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """What the run reads and is validated on."""
        return self.run.inputs

    @property
    def flops(self) -> int:
        """Of a start, the gradients and at most the products; n-grams hardly count."""
        if not isinstance(self.measurement, StartSpec):
            return 0
        spec = self.measurement
        samples = 4 * spec.batches * spec.batch_size + 12 * spec.products * spec.curvature_samples
        return samples * spec.model.sequence_length * forward_flops_per_token(spec.model)

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Run the job in a worker."""
        return session.pool.run(Job(self.job_kind, self.measurement, inputs, folder))

    def facts(self, store: Store) -> dict[str, Any]:
        """What was measured."""
        return store.facts(self.artifact)

    def tracked_run(self, session: Session) -> TrackedRun | None:
        """The run in MLflow with these numbers added, once it is there."""
        if not session.store.exists(self.run.artifact):
            return None
        facts = self.facts(session.store)
        if self.job_kind == "start":
            values = {f"start/{name}": facts[name] for name in TRACKED if name in facts}
        else:
            values = {
                f"n-grams/{model}/{domain}": loss
                for model in ("unigram", "bigram")
                for domain, loss in facts[model].items()
            }
        return self.run.tracked_run(session).addition(self.artifact.fingerprint, values)
