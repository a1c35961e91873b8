"""The training runs of a study: settings, an order and a seed made into one step."""

from collections.abc import Sequence
from dataclasses import replace

from curricle.core.jobs import TrainingSpec
from curricle.recipes.specs.training import Proxy, Schedule, Target, Training
from curricle.tasks.order import OrderStep, RandomOrderStep
from curricle.tasks.plan.orders import Orders
from curricle.tasks.plan.preparation import Preparation
from curricle.tasks.train import TrainingStep

RANDOM = "random"


class Runs:
    """Makes training runs. The seeds of proxies and targets count up from the study's."""

    def __init__(self, preparation: Preparation) -> None:
        self.study, self.preparation = preparation.study, preparation
        self.orders = Orders(preparation)

    @property
    def proxy_seeds(self) -> range:
        """The seeds of proxies."""
        return self._seeds(self.study.proxy)

    @property
    def target_seeds(self) -> range:
        """The seeds of targets."""
        return self._seeds(self.study.target)

    def proxy(self, recipe: str, rate: float, seed: int) -> TrainingStep:
        """A proxy that ranks, on a recipe and in the recipe's own order."""
        settings = self.study.proxy
        order = self.orders.of_recipe(recipe, self._samples(settings, settings.tokens), seed)
        return self._run("proxy", recipe, RANDOM, settings, rate, seed, order)

    def scoring_proxy(self, recipe: str, seed: int) -> TrainingStep:
        """A proxy that scores, on samples that no target reads."""
        scoring = self.study.scoring
        settings = self.study.proxy.model_copy(update={"tokens": scoring.tokens})
        order = self.orders.random(recipe, "proxy", self._samples(settings, scoring.tokens), seed)
        rate, points = scoring.learning_rate, self.scoring_points()
        return self._run("scoring", recipe, RANDOM, settings, rate, seed, order, points)

    def target(
        self, stage: str, recipe: str, curriculum: str, order: OrderStep, seed: int
    ) -> TrainingStep:
        """A target; checkpoints are kept where its sharpness is measured."""
        target = self.study.target
        rate, points = target.learning_rate, self.sharpness_points()
        return self._run(stage, recipe, curriculum, target, rate, seed, order, points)

    def longer_target(self, recipe: str, curriculum: str, longer: float, seed: int) -> TrainingStep:
        """A target of `longer` times the tokens, in random order."""
        target = self.study.target
        settings = target.model_copy(update={"tokens": round(target.tokens * longer)})
        count = self._samples(settings, settings.tokens)
        order = self.orders.random(recipe, "target", count, seed)
        rate = target.learning_rate
        return self._run("target", recipe, curriculum, settings, rate, seed, order)

    def under_schedule(self, run: TrainingStep, name: str, schedule: Schedule) -> TrainingStep:
        """The same run under another schedule."""
        changes = {key: getattr(schedule, key) for key in Schedule.model_fields}
        settings = self.study.target.model_copy(update=changes)
        training = replace(
            run.training,
            optimizer=settings.optimizer_spec(run.learning_rate),
            averaging=settings.averaging_spec,
            checkpoints_at=(),
        )
        return replace(run, training=training, schedule=name)

    def target_order(self, recipe: str, seed: int) -> RandomOrderStep:
        """The random order of a target."""
        count = self._samples(self.study.target, self.study.target.tokens)
        return self.orders.random(recipe, "target", count, seed)

    def sharpness_points(self) -> tuple[int, ...]:
        """Tokens of a target's run after which a checkpoint is kept to measure its sharpness."""
        wanted, target = self.study.evaluation.sharpness, self.study.target
        if wanted and wanted.every:
            return self._spaced(target, wanted.every)
        points = wanted.points if wanted else 1
        shares = [index / points for index in range(1, points + 1)]
        *earlier, end = self._points(target, target.tokens, shares)
        return tuple(sorted({at for at in earlier if 0 < at < end}))

    def scoring_points(self) -> tuple[int, ...]:
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
            model=settings.model_spec(self.preparation.vocabulary),
            optimizer=settings.optimizer_spec(rate),
            batch_size=settings.batch_size,
            steps=self._samples(settings, settings.tokens) // settings.batch_size,
            seed=seed,
            micro_batch_size=settings.micro_batch_size,
            precision=settings.precision,
            compile=settings.compile,
            averaging=settings.averaging_spec,
            checkpoints_at=checkpoints_at,
            validations_at=self._spaced(settings, settings.validate_every),
            validation_tokens_per_domain=self.study.evaluation.tokens_per_domain,
            threads=settings.threads,
        )
        validation = self.preparation.validation
        return TrainingStep(stage, recipe, curriculum, training, order, validation)

    def _seeds(self, settings: Training) -> range:
        return range(self.study.seed, self.study.seed + settings.seeds)

    def _spaced(self, settings: Training, tokens: int | None) -> tuple[int, ...]:
        """Every so many `tokens` of a run, in whole steps, before its end; None: never."""
        if tokens is None:
            return ()
        per_step = settings.batch_size * self.study.tokenizer.sequence_length
        apart = max(1, round(tokens / per_step))
        return tuple(step * per_step for step in range(apart, settings.tokens // per_step, apart))

    def _points(self, settings: Training, tokens: int, shares: Sequence[float]) -> tuple[int, ...]:
        """Tokens, in whole steps, after the given shares of a run of `tokens`."""
        per_step = settings.batch_size * self.study.tokenizer.sequence_length
        return tuple(round(share * (tokens // per_step)) * per_step for share in shares)

    def _samples(self, settings: Training, tokens: int) -> int:
        """Whole batches of samples in `tokens`."""
        per_batch = settings.batch_size * self.study.tokenizer.sequence_length
        return tokens // per_batch * settings.batch_size
