"""A study laid out as steps: everything it will do, known before anything runs.

Only two choices wait for results: which recipe is best, and which recipes confirm the ranking.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from curricle.analysis.ranking import Ranking, representatives
from curricle.core.jobs import (
    MultipleChoiceSpec,
    PerplexitySpec,
    SampleStatisticsSpec,
    ScoringSpec,
    SharpnessSpec,
    TrainingSpec,
)
from curricle.core.store import Artifact, Store
from curricle.core.tokenizer_file import vocabulary_size
from curricle.recipes.ordering import Part
from curricle.recipes.specs.measurements import Statistics
from curricle.recipes.specs.recipe import UNIGRAM_ENTROPY, OrderSpec, Recipe, TokenizerSpec
from curricle.recipes.specs.sources import PythonEnvironmentSource
from curricle.recipes.specs.training import Proxy, Target, Training
from curricle.recipes.study import Study
from curricle.tasks.corpus import (
    CorpusStep,
    DocstringQuestionsStep,
    GivenQuestionsStep,
    GivenTokenizerStep,
    TokenizerStep,
)
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.documents import MeasurementStep
from curricle.tasks.evaluation import EvaluationStep
from curricle.tasks.order import (
    Arm,
    CurriculumOrderStep,
    OrderStep,
    Pool,
    RandomOrderStep,
    SortedOrderStep,
)
from curricle.tasks.ranking import RankingStep
from curricle.tasks.sample_scores import DocumentScoresStep, GivenScoresStep
from curricle.tasks.scores import LearnabilityStep, SampleStatisticsStep
from curricle.tasks.step import Step, with_inputs
from curricle.tasks.train import TrainingStep

RANDOM = "random"
ARMS: dict[Arm, str] = {"curriculum": "{}", "anti": "anti-{}", "reshuffled": "{}-reshuffled"}


@dataclass(frozen=True)
class Decision:
    """What the ranking decided: the best recipe, and those that confirm it at the target's size.

    Before there is a ranking the baseline stands in for the best, so that the rest can be laid out.
    """

    best: str
    confirmed: tuple[str, ...]
    from_ranking: bool


class StudyPlan:
    """The steps of a study. Looks at the sources (once) to know what they hold."""

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
    def preparation(self) -> list[Step]:
        """Everything before the first training run."""
        questions = [self.questions] if self.questions else []
        return [self.validation, *self.datasets.values(), *questions]

    @property
    def seeds(self) -> dict[str, range]:
        """The seeds of proxies and targets."""
        start = self.study.seed
        return {
            "proxy": range(start, start + self.study.proxy.seeds),
            "target": range(start, start + self.study.target.seeds),
        }

    def proxy_runs(self) -> list[TrainingStep]:
        """Every recipe at every learning rate with every seed."""
        proxy = self.study.proxy
        return [
            self._run("proxy", name, RANDOM, proxy, rate, seed, self._recipe_order(name, seed))
            for rate in sorted(proxy.learning_rates)
            for name in self.study.recipes
            for seed in self.seeds["proxy"]
        ]

    def ranking(self) -> RankingStep:
        """The proxies' ranking at each rate; at all but the standard one order can't be seen."""
        recipes = self.study.recipes
        rates = self.study.proxy.learning_rates
        return RankingStep(
            title="proxy",
            runs=tuple(self.proxy_runs()),
            baseline=self.study.baseline,
            roles={name: recipe.role for name, recipe in recipes.items()},
            order_only=tuple(name for name, recipe in recipes.items() if recipe.order),
            order_blind=tuple(rate for rate in rates if rate < max(rates) or len(rates) == 1),
        )

    def tiny_ranking(self, store: Store) -> Ranking:
        """The stored ranking at the tiny rate."""
        return self.ranking().read(store)[self.study.proxy.tiny_rate]

    def decide(self, store: Store) -> Decision:
        """The choices that later stages build on."""
        if store.exists(self.ranking().artifact):
            tiny = self.tiny_ranking(store)
            chosen = representatives(tiny, self.study.target.confirm)
            return Decision(tiny.best.recipe, chosen, from_ranking=True)
        recipes = self.study.recipes
        plain = [name for name, recipe in recipes.items() if not recipe.order]
        plain.sort(key=lambda name: recipes[name].role == "bad-control")
        assumed = (*plain[: self.study.target.confirm - 1], plain[-1])
        return Decision(self.study.baseline, assumed, from_ranking=False)

    def layout(self, store: Store) -> dict[str, list[Step]]:
        """All steps by stage, as far as they can be told now; each with the first that needs it."""
        decision = self.decide(store)
        targets = self.target_runs(decision.best)
        scores = list(self.scores(decision.best).values()) if self.study.curricula else []
        stages: dict[str, Sequence[Step]] = {
            "prepare": self.preparation,
            "rank": [self.ranking()],
            "confirm": [self.confirmation(decision.confirmed)],
            "score": scores,
            "pretrain": targets,
            "evaluate": self.evaluations(targets),
        }
        seen: set[Artifact] = set()
        layout: dict[str, list[Step]] = {}
        for name, steps in stages.items():
            layout[name] = [step for step in with_inputs(steps) if step.artifact not in seen]
            seen.update(step.artifact for step in layout[name])
        return layout

    def confirmation(self, recipes: Sequence[str]) -> RankingStep:
        """The ranking of a few recipes at the target's size, against the first of them."""
        roles = {name: self.study.recipes[name].role for name in recipes}
        runs = tuple(self.confirmation_runs(recipes))
        return RankingStep(title="confirm", runs=runs, baseline=recipes[0], roles=roles)

    def confirmation_runs(self, recipes: Sequence[str]) -> list[TrainingStep]:
        """The target on each of `recipes`, in random order."""
        return [
            self._target_run("confirm", name, RANDOM, self._target_order(name, seed), seed)
            for name in recipes
            for seed in self.seeds["target"]
        ]

    def scores(self, recipe: str) -> dict[int, LearnabilityStep]:
        """Learnability by seed: each target seed has a proxy and scores of its own."""
        early, *late = self._scoring_points()
        spec = ScoringSpec(early=early, late=tuple(late), threads=self.study.proxy.threads)
        return {
            seed: LearnabilityStep(spec, self._scoring_run(recipe, seed), self.datasets[recipe])
            for seed in self.seeds["target"]
        }

    def target_runs(self, recipe: str) -> list[TrainingStep]:
        """The target on `recipe` in random order, under each curriculum and under its controls."""
        scores = self.scores(recipe)
        runs = []
        for seed in self.seeds["target"]:
            base = self._target_order(recipe, seed)
            runs.append(self._target_run("target", recipe, RANDOM, base, seed))
            for name, curriculum in self.study.curricula.items():
                for arm, pattern in ARMS.items():
                    label = pattern.format(name)
                    order = CurriculumOrderStep(label, arm, curriculum, base, scores[seed])
                    runs.append(self._target_run("target", recipe, label, order, seed))
        return runs

    def evaluations(self, runs: Sequence[TrainingStep]) -> list[EvaluationStep]:
        """Perplexity, multiple choice and sharpness of each run, as far as the study asks."""
        return [step for run in runs for step in self._evaluations_of(run)]

    def _evaluations_of(self, run: TrainingStep) -> list[EvaluationStep]:
        wanted, threads = self.study.evaluation, self.study.target.threads
        text: dict[str, Step] = {"validation": self.validation, "tokenizer": self.tokenizer}
        perplexity = PerplexitySpec(
            tokens_per_domain=wanted.tokens_per_domain, stride=wanted.stride, threads=threads
        )
        steps = [EvaluationStep(run, perplexity, text)]
        if wanted.multiple_choice and self.questions:
            spec = MultipleChoiceSpec(shots=wanted.multiple_choice.shots, threads=threads)
            data: dict[str, Step] = {"questions": self.questions, "tokenizer": self.tokenizer}
            steps.append(EvaluationStep(run, spec, data))
        if wanted.sharpness:
            settings = wanted.sharpness.model_dump(exclude={"points"})
            sharpness = SharpnessSpec(**settings, seed=self.study.seed, threads=threads)
            for at in (*self._sharpness_points(), None):
                spec_at = replace(sharpness, checkpoint_at=at)
                steps.append(EvaluationStep(run, spec_at, {"validation": self.validation}))
        return steps

    def _sharpness_points(self) -> tuple[int, ...]:
        """Tokens of a target's run after which a checkpoint is kept to measure its sharpness."""
        wanted, target = self.study.evaluation.sharpness, self.study.target
        points = wanted.points if wanted else 1
        shares = [index / points for index in range(1, points + 1)]
        *earlier, end = self._points(target, target.tokens, shares)
        return tuple(sorted({at for at in earlier if 0 < at < end}))

    def _dataset(self, name: str, recipe: Recipe, split: str) -> DatasetStep:
        part = cast("Literal['train', 'validation']", split)
        return DatasetStep(name, recipe, part, self.corpus, self.tokenizer, self.study.seed)

    def _pool(self, part: Part) -> Pool:
        length = self.study.tokenizer.sequence_length
        return Pool(part, length, self.study.scoring.holdout, self.study.seed)

    def _random_order(self, recipe: str, part: Part, count: int, seed: int) -> RandomOrderStep:
        return RandomOrderStep(self.datasets[recipe], self._pool(part), count, seed)

    def _recipe_order(self, name: str, seed: int) -> OrderStep:
        count = self._samples(self.study.proxy, self.study.proxy.tokens)
        base = self._random_order(name, "all", count, seed)
        order = self.study.recipes[name].order
        if order is None:
            return base
        return SortedOrderStep(name, order, base, self._sample_scores(order, self.datasets[name]))

    def _sample_scores(self, order: OrderSpec, dataset: DatasetStep) -> Step:
        """The scores that an order is made by."""
        length = self.study.tokenizer.sequence_length
        if order.scores is not None:
            return GivenScoresStep(order.scores, order.by, dataset, length)
        if order.by != UNIGRAM_ENTROPY:
            measured = MeasurementStep(Statistics(names=(order.by,)), dataset.documents)
            return DocumentScoresStep(order.by, order.column, measured, dataset, length)
        size = self.vocabulary.vocabulary_size
        spec = SampleStatisticsSpec(sequence_length=length, vocabulary_size=size)
        return SampleStatisticsStep(spec, dataset)

    def _target_order(self, recipe: str, seed: int) -> RandomOrderStep:
        count = self._samples(self.study.target, self.study.target.tokens)
        return self._random_order(recipe, "target", count, seed)

    def _target_run(
        self, stage: str, recipe: str, curriculum: str, order: OrderStep, seed: int
    ) -> TrainingStep:
        target = self.study.target
        rate, points = target.learning_rate, self._sharpness_points()
        return self._run(stage, recipe, curriculum, target, rate, seed, order, points)

    def _scoring_run(self, recipe: str, seed: int) -> TrainingStep:
        scoring, proxy = self.study.scoring, self.study.proxy
        settings = proxy.model_copy(update={"tokens": scoring.tokens})
        count = self._samples(settings, scoring.tokens)
        order = self._random_order(recipe, "proxy", count, seed)
        rate, points = scoring.learning_rate, self._scoring_points()
        return self._run("scoring", recipe, RANDOM, settings, rate, seed, order, points)

    def _scoring_points(self) -> tuple[int, ...]:
        """Tokens after which a scoring proxy's checkpoints are kept, the early one first."""
        scoring, proxy = self.study.scoring, self.study.proxy
        return self._points(proxy, scoring.tokens, (scoring.early, *scoring.late))

    def _run(
        self,
        stage: str,
        recipe: str,
        curriculum: str,
        settings: Proxy | Target,
        rate: float,
        seed: int,
        order: OrderStep,
        checkpoints_at: tuple[int, ...] = (),
    ) -> TrainingStep:
        training = TrainingSpec(
            model=settings.model_spec(self.vocabulary),
            optimizer=settings.optimizer_spec(rate),
            batch_size=settings.batch_size,
            steps=self._samples(settings, settings.tokens) // settings.batch_size,
            seed=seed,
            micro_batch_size=settings.micro_batch_size,
            precision=settings.precision,
            compile=settings.compile,
            averaging=settings.averaging_spec,
            checkpoints_at=checkpoints_at,
            validations_at=self._validation_points(settings),
            validation_tokens_per_domain=self.study.evaluation.tokens_per_domain,
            threads=settings.threads,
        )
        return TrainingStep(stage, recipe, curriculum, training, order, self.validation)

    def _validation_points(self, settings: Training) -> tuple[int, ...]:
        """Every `validate_every` tokens, in whole steps, before the end."""
        if settings.validate_every is None:
            return ()
        per_step = settings.batch_size * self.study.tokenizer.sequence_length
        apart = max(1, round(settings.validate_every / per_step))
        return tuple(step * per_step for step in range(apart, settings.tokens // per_step, apart))

    def _points(self, settings: Training, tokens: int, shares: Sequence[float]) -> tuple[int, ...]:
        """Tokens, in whole steps, after the given shares of a run of `tokens`."""
        per_step = settings.batch_size * self.study.tokenizer.sequence_length
        return tuple(round(share * (tokens // per_step)) * per_step for share in shares)

    def _samples(self, settings: Training, tokens: int) -> int:
        """Whole batches of samples in `tokens`."""
        per_batch = settings.batch_size * self.study.tokenizer.sequence_length
        return tokens // per_batch * settings.batch_size
