"""Evaluation steps: one job kind each, on one checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.jobs import MultipleChoiceSpec, PerplexitySpec, SharpnessSpec
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.models.jobs import Job
from curricle.tasks.session import Session
from curricle.tasks.step import Step
from curricle.tasks.tracking import TrackedRun
from curricle.tasks.train import TrainingStep

EvaluationSpec = PerplexitySpec | MultipleChoiceSpec | SharpnessSpec
JOB_KINDS: dict[type[EvaluationSpec], str] = {
    PerplexitySpec: "perplexity",
    MultipleChoiceSpec: "multiple-choice",
    SharpnessSpec: "sharpness",
}
MULTIPLE_CHOICE_METRICS = (
    "accuracy",
    "calibrated_accuracy",
    "correct_probability",
    "bits_per_byte",
)


@dataclass(frozen=True)
class EvaluationStep(Step):
    """One kind of evaluation of one training run's final checkpoint."""

    kind: ClassVar[str] = "evaluation"
    verb: ClassVar[str] = "evaluate"
    run: TrainingStep
    evaluation: EvaluationSpec
    data: Mapping[str, Step]

    @property
    def job_kind(self) -> str:
        """`perplexity`, `multiple-choice` or `sharpness`."""
        return JOB_KINDS[type(self.evaluation)]

    @property
    def name(self) -> str:
        """Kind of evaluation and the run's name."""
        return f"{self.job_kind}-{self.run.name}"

    @property
    def label(self) -> str:
        """Kind of evaluation and the run's label."""
        return f"{self.job_kind} of {self.run.label}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's kind and spec."""
        return {"evaluation": self.job_kind, **to_plain(self.evaluation)}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The checkpoint, and what it is evaluated on."""
        return {"checkpoint": self.run, **self.data}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Run the job in a worker."""
        return session.pool.run(Job(self.job_kind, self.evaluation, inputs, folder))

    def values(self, store: Store) -> dict[tuple[str, str], float]:
        """Its numbers by (metric, domain)."""
        facts = store.facts(self.artifact)
        if isinstance(self.evaluation, SharpnessSpec):
            return {("sharpness/largest_eigenvalue", "average"): facts["largest_eigenvalue"]}
        if isinstance(self.evaluation, MultipleChoiceSpec):
            return {
                (f"multiple_choice/{name}", "average"): facts[name]
                for name in MULTIPLE_CHOICE_METRICS
            }
        values = {
            (f"validation/{metric}", domain): entry[metric]
            for domain, entry in facts["domains"].items()
            for metric in ("perplexity", "bits_per_byte")
        }
        size = len(facts["domains"])
        mean = sum(entry["bits_per_byte"] for entry in facts["domains"].values()) / size
        return {**values, ("validation/bits_per_byte", "average"): mean}

    def rows(self, store: Store) -> list[dict[str, Any]]:
        """Rows of the results table."""
        columns = self.run.columns(store.facts(self.run.artifact))
        return [
            {**columns, "metric": metric, "domain": domain, "value": value}
            for (metric, domain), value in self.values(store).items()
        ]

    def tracked_run(self, session: Session) -> TrackedRun:
        """The evaluated run in MLflow, with these numbers added."""
        run = self.run.tracked_run(session)
        values = {
            metric if domain == "average" else f"{metric}/{domain}": value
            for (metric, domain), value in self.values(session.store).items()
        }
        return run.addition(self.artifact.fingerprint, values)
