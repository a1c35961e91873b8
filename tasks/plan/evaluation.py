"""What is measured of the targets."""

from collections.abc import Sequence
from dataclasses import replace

from curricle.core.jobs import MultipleChoiceSpec, PerplexitySpec, SharpnessSpec
from curricle.tasks.evaluation import EvaluationStep
from curricle.tasks.plan.runs import Runs
from curricle.tasks.step import Step
from curricle.tasks.train import TrainingStep


class EvaluationPlan:
    """The steps that evaluate targets."""

    def __init__(self, runs: Runs) -> None:
        self.study, self._runs = runs.study, runs

    def steps(self, runs: Sequence[TrainingStep]) -> list[EvaluationStep]:
        """Perplexity, multiple choice and sharpness of each run, as far as the study asks."""
        return [step for run in runs for step in self._of(run)]

    def _of(self, run: TrainingStep) -> list[EvaluationStep]:
        wanted, threads = self.study.evaluation, self.study.target.threads
        prepared = self._runs.preparation
        text: dict[str, Step] = {"validation": prepared.validation, "tokenizer": prepared.tokenizer}
        perplexity = PerplexitySpec(
            tokens_per_domain=wanted.tokens_per_domain, stride=wanted.stride, threads=threads
        )
        steps = [EvaluationStep(run, perplexity, text)]
        if wanted.weight_bits is not None:
            rounded = replace(perplexity, weight_bits=wanted.weight_bits)
            steps.append(EvaluationStep(run, rounded, text))
        if wanted.multiple_choice and prepared.questions:
            asked = wanted.multiple_choice
            spec = MultipleChoiceSpec(shots=asked.shots, subjects=asked.subjects, threads=threads)
            data: dict[str, Step] = {
                "questions": prepared.questions,
                "tokenizer": prepared.tokenizer,
            }
            steps.append(EvaluationStep(run, spec, data))
        if wanted.sharpness:
            settings = wanted.sharpness.model_dump(exclude={"points", "every"})
            sharpness = SharpnessSpec(**settings, seed=self.study.seed, threads=threads)
            for at in (*self._runs.sharpness_points(), None):
                spec_at = replace(sharpness, checkpoint_at=at)
                steps.append(EvaluationStep(run, spec_at, {"validation": prepared.validation}))
        return steps
