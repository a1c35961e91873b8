"""The scores of a recipe's samples: which step measures which."""

from collections.abc import Iterator, Mapping

from curricle.core.jobs import SampleStatisticsSpec, ScoringSpec
from curricle.core.scores_file import column_of, proxied
from curricle.recipes.specs.curricula import Curriculum, OnlineEntropyV
from curricle.recipes.specs.scoring import FROM_PROXY, FROM_TEXT, FROM_TOKENS
from curricle.tasks.given_scores import GivenScoresStep
from curricle.tasks.plan.runs import Runs
from curricle.tasks.sample_scores import (
    CombinedScoresStep,
    DocumentColumnStep,
    SampleTextScoresStep,
)
from curricle.tasks.scores import LearnabilityStep, SampleStatisticsStep
from curricle.tasks.step import Step, with_inputs


class ScoresPlan:
    """The steps that score samples. What a proxy measures, each of the targets' seeds measures."""

    def __init__(self, runs: Runs) -> None:
        self.study, self._runs = runs.study, runs

    @property
    def wanted(self) -> tuple[str, ...]:
        """The scores that curricula rank by, and those to compare them with."""
        ranked_by = [item.score for item in self.study.curricula.values() if item.scores is None]
        return tuple(dict.fromkeys([*ranked_by, *self.study.scoring.compare]))

    def from_proxy(self, recipe: str, name: str, seed: int) -> LearnabilityStep:
        """The scores by a proxy, of which each target seed has one of its own."""
        early, *late = self._runs.scoring_points(name)
        proxy = self._runs.scoring_proxy(recipe, name, seed)
        spec = ScoringSpec(early=early, late=tuple(late), threads=proxy.training.threads)
        return LearnabilityStep(spec, proxy, self._runs.preparation.datasets[recipe])

    def steps(self, recipe: str) -> list[Step]:
        """Every step that scores samples, each once."""
        found = {
            step.artifact: step
            for score in self.wanted
            for seed in self._runs.target_seeds
            for step in [self.step(recipe, score, seed)]
        }
        return list(found.values())

    def proxies_of(self, curriculum: Curriculum) -> frozenset[str]:
        """The proxies of this study whose scores a curriculum ranks by, by name."""
        if curriculum.scores is not None:
            return frozenset()
        parts = self.study.scoring.combinations.get(curriculum.score, {curriculum.score: 1.0})
        found = map(proxied, parts)
        return frozenset(proxy for score, proxy in found if score in FROM_PROXY)

    def behind(self, recipe: str, curriculum: Curriculum) -> Iterator[list[Step]]:
        """For each target seed what is made to score by: proxies, scores, parts of combinations.

        None where the score is measured while training.
        """
        if isinstance(curriculum, OnlineEntropyV):
            return
        for seed in self._runs.target_seeds:
            steps = with_inputs([self.of_curriculum(recipe, curriculum, seed)])
            yield [step for step in steps if step.kind in ("scores", "checkpoint")]

    def of_curriculum(self, recipe: str, curriculum: Curriculum, seed: int) -> Step:
        """The scores that a curriculum ranks by."""
        if curriculum.scores is None:
            return self.step(recipe, curriculum.score, seed)
        dataset, length = self._runs.preparation.datasets[recipe], self._length
        column, targets = column_of(curriculum.score), self._runs.orders.pool("target")
        return GivenScoresStep(curriculum.scores, column, dataset, length, targets)

    def step(self, recipe: str, score: str, seed: int) -> Step:
        """The step that measures a score; for one target seed where that makes a difference."""
        scoring, dataset = self.study.scoring, self._runs.preparation.datasets[recipe]
        measured = proxied(score)
        if measured.score in FROM_PROXY:
            return self.from_proxy(recipe, measured.proxy, seed)
        if score in FROM_TOKENS:
            return self._statistics(recipe)
        if score in FROM_TEXT:
            tokenizer = self._runs.preparation.tokenizer
            return SampleTextScoresStep(self._texts, dataset, tokenizer, self._length)
        if score in scoring.combinations:
            weights = scoring.combinations[score]
            parts = {name: self.step(recipe, name, seed) for name in weights}
            return CombinedScoresStep(score, weights, parts, dataset, self._length)
        return DocumentColumnStep(score, scoring.columns.get(score), dataset, self._length)

    def _statistics(self, recipe: str) -> SampleStatisticsStep:
        preparation = self._runs.preparation
        spec = SampleStatisticsSpec(
            sequence_length=self._length,
            vocabulary_size=preparation.vocabulary.vocabulary_size,
            names=tuple(map(column_of, FROM_TOKENS)),
            seed=self.study.seed,
        )
        return SampleStatisticsStep(spec, preparation.datasets[recipe], preparation.validation)

    @property
    def _texts(self) -> tuple[str, ...]:
        """The text statistics that are wanted, alone or combined; measured together."""
        combined = [name for parts in self._combinations.values() for name in parts]
        return tuple(sorted(set(FROM_TEXT) & {*self.wanted, *combined}))

    @property
    def _combinations(self) -> Mapping[str, Mapping[str, float]]:
        wanted = self.study.scoring.combinations
        return {name: parts for name, parts in wanted.items() if name in self.wanted}

    @property
    def _length(self) -> int:
        return self.study.tokenizer.sequence_length
