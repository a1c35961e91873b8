"""What a study prepares before the first training run: corpus, tokenizer, datasets, questions."""

import functools
from typing import Literal

from curricle.core.tokenizer_file import vocabulary_size
from curricle.recipes.specs.recipe import Recipe, TokenizerSpec
from curricle.recipes.specs.sources import PythonEnvironmentSource
from curricle.recipes.study import Study
from curricle.tasks.corpus import (
    CorpusStep,
    DocstringQuestionsStep,
    GivenQuestionsStep,
    GivenTokenizerStep,
    TokenizerStep,
)
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.step import Step


class Preparation:
    """The steps before the first training run. Looks at the sources (once) to know their content.

    What has no seed of its own depends on the study's alone.
    """

    def __init__(self, study: Study) -> None:
        self.study = study

    @functools.cached_property
    def corpus(self) -> CorpusStep:
        """Documents of all sources, split."""
        study = self.study
        return CorpusStep(study.corpora, study.evaluation.validation_fraction, study.seed)

    @functools.cached_property
    def tokenizer(self) -> Step:
        """The one tokenizer."""
        spec = self.study.tokenizer
        return GivenTokenizerStep(spec) if spec.is_given else TokenizerStep(spec, self.corpus)

    @functools.cached_property
    def vocabulary(self) -> TokenizerSpec:
        """The study's tokenizer with the vocabulary that models get: a given one brings its own."""
        spec = self.study.tokenizer
        if not isinstance(self.tokenizer, GivenTokenizerStep):
            return spec
        size = vocabulary_size(self.tokenizer.loaded)
        return spec.model_copy(update={"vocabulary_size": size})

    @functools.cached_property
    def validation(self) -> DatasetStep:
        """Held-out tokens, the same for every recipe."""
        return self._dataset("validation", Recipe(), "validation")

    @functools.cached_property
    def datasets(self) -> dict[str, DatasetStep]:
        """Each recipe's dataset; one named after the first recipe that has it."""
        first: dict[str, DatasetStep] = {}
        for name, recipe in self.study.recipes.items():
            step = self._dataset(name, recipe, "train")
            first.setdefault(step.artifact.fingerprint, step)
            first[name] = first[step.artifact.fingerprint]
        return {name: first[name] for name in self.study.recipes}

    @functools.cached_property
    def questions(self) -> Step | None:
        """The multiple-choice set: the one the study names, or docstrings where there are any."""
        evaluation = self.study.evaluation
        if evaluation.multiple_choice is None:
            return None
        if evaluation.mmlu is not None:
            return GivenQuestionsStep(evaluation.mmlu)
        sources = self.study.corpora.values()
        if any(isinstance(source, PythonEnvironmentSource) for source in sources):
            count = evaluation.multiple_choice.questions
            return DocstringQuestionsStep(count, self.study.seed, self.corpus)
        return None

    @property
    def steps(self) -> list[Step]:
        """All that training and evaluation read."""
        questions = [self.questions] if self.questions else []
        return [self.validation, *self.datasets.values(), *questions]

    def _dataset(
        self, name: str, recipe: Recipe, split: Literal["train", "validation"]
    ) -> DatasetStep:
        return DatasetStep(name, recipe, split, self.corpus, self.tokenizer, self.study.seed)
