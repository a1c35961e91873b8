"""Evaluation steps: one job kind each, on one checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.jobs import MultipleChoiceSpec, PerplexitySpec, SharpnessSpec
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.models.flops import forward_flops_per_token, most_sharpness_flops
from curricle.models.jobs import Job
from curricle.tasks.evaluation_values import Values, evaluation_values, tracked_names
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


@dataclass(frozen=True)
class EvaluationStep(Step):
    """One kind of evaluation of a training run's final weights; sharpness of earlier ones too."""

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
        at, bits = self.checkpoint_at, self.weight_bits
        end = (f"-at{at}" if at else "") + (f"-int{bits}" if bits else "")
        return f"{self.job_kind}-{self.run.name}{end}"

    @property
    def label(self) -> str:
        """Kind of evaluation and the run's label."""
        at, bits = self.checkpoint_at, self.weight_bits
        what = f"{self.job_kind} of {self.run.label}" + (f" after {at} tokens" if at else "")
        return what + (f" in {bits} bits" if bits else "")

    @property
    def checkpoint_at(self) -> int | None:
        """Tokens of training after which the measured weights were kept; None: the final ones."""
        return getattr(self.evaluation, "checkpoint_at", None)

    @property
    def weight_bits(self) -> int | None:
        """Bits that the weights were rounded to; None: they weren't."""
        return getattr(self.evaluation, "weight_bits", None)

    @property
    def flops(self) -> int:
        """What sharpness costs at most; the others hardly count beside training."""
        if not isinstance(self.evaluation, SharpnessSpec):
            return 0
        model = self.run.training.model
        forward = forward_flops_per_token(model)
        return most_sharpness_flops(self.evaluation, forward, model.sequence_length)

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
        unfinished = session.store.unfinished(self.artifact)
        return session.pool.run(Job(self.job_kind, self.evaluation, inputs, folder, unfinished))

    def values(self, store: Store) -> Values:
        """Its numbers by (metric, domain); what was asked for and not obtained is left out."""
        values = evaluation_values(self.job_kind, store.facts(self.artifact))
        if not self.weight_bits:
            return values
        return {
            (f"{name}_int{self.weight_bits}", domain): v for (name, domain), v in values.items()
        }

    def rows(self, store: Store) -> list[dict[str, Any]]:
        """Rows of the results table."""
        columns = self.run.columns(store.facts(self.run.artifact))
        if self.checkpoint_at:
            share = self.checkpoint_at / self.run.training.tokens
            columns |= {"tokens": self.checkpoint_at, "flops": share * columns["flops"]}
        return [
            {**columns, "metric": metric, "domain": domain, "value": value}
            for (metric, domain), value in self.values(store).items()
        ]

    def tracked_run(self, session: Session) -> TrackedRun:
        """The evaluated run in MLflow, with these numbers added."""
        run = self.run.tracked_run(session)
        values = tracked_names(self.values(session.store))
        addition = run.addition(self.artifact.fingerprint, values)
        return replace(addition, tokens=self.checkpoint_at or addition.tokens)
