"""The training runs of a study: settings, an order and a seed made into one step."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from curricle.core.errors import InputError
from curricle.core.jobs import TrainingSpec
from curricle.recipes.specs.scoring import ScoringProxy
from curricle.recipes.specs.sweep import Band, Sweep
from curricle.recipes.specs.training import Schedule, Setting, Target, Training
from curricle.tasks.order import OrderStep, RandomOrderStep
from curricle.tasks.plan.orders import Orders
from curricle.tasks.plan.preparation import Preparation
from curricle.tasks.train import TrainingStep

RANDOM = "random"
# Proxies read orders of the study's seeds. Targets that judge their ranking read others: with the
# same samples both would share the luck of the draw, and seem to agree.
_FIRST_ORDER_OF_TUNED_TARGETS = 1000


class Runs:
    """Makes training runs. The seeds of proxies and targets count up from the study's."""

    def __init__(self, preparation: Preparation) -> None:
        self.study, self.preparation = preparation.study, preparation
        self.orders = Orders(preparation)

    @property
    def target_seeds(self) -> range:
        """The seeds of targets."""
        return self.seeds(self.study.target)

    def seeds(self, settings: Training) -> range:
        """The seeds of runs that have these settings."""
        return range(self.study.seed, self.study.seed + settings.seeds)

    def proxy(self, sweep: Sweep, recipe: str, setting: Setting, seed: int) -> TrainingStep:
        """A proxy that ranks, on a recipe and in the recipe's own order."""
        settings = sweep.proxy.at(setting)
        main = not sweep.name and setting == sweep.proxy.main(setting.learning_rate)
        order = self.orders.of_recipe(recipe, self._samples(settings), seed)
        run = self._run(
            "proxy" if main else "sweep", recipe, settings, setting.learning_rate, seed, order
        )
        return _of(sweep, run)

    def band_proxy(self, band: Band, recipe: str, rate: float, seed: int) -> TrainingStep:
        """A short proxy of the search for the tiny rate."""
        changed = {"tokens": band.tokens, "tokens_per_parameter": None, "validate_every": None}
        settings = self.study.proxy.model_copy(update=changed)
        order = self.orders.of_recipe(recipe, self._samples(settings), seed)
        return self._run("band", recipe, settings, rate, seed, order)

    @functools.cached_property
    def scoring_proxies(self) -> Mapping[str, ScoringProxy]:
        """The proxies that score, by name."""
        return self.study.scoring_proxies()

    def scoring_proxy(self, recipe: str, name: str, seed: int) -> TrainingStep:
        """A proxy that scores, on samples that no target reads."""
        proxy = self.scoring_proxies[name]
        settings, rate = proxy.training, proxy.learning_rate
        order = self.orders.random(recipe, "proxy", self._samples(settings), seed)
        order = replace(order, mix=proxy.mix)
        run = self._run("scoring", recipe, settings, rate, seed, order)
        return replace(run, variant=name).with_checkpoints(self.scoring_points(name))

    def target(
        self, stage: str, recipe: str, curriculum: str, order: OrderStep, seed: int
    ) -> TrainingStep:
        """A target; checkpoints are kept where its sharpness is measured."""
        target = self.study.target
        run = self._run(stage, recipe, target, target.learning_rate, seed, order)
        run = replace(run, curriculum=curriculum)
        return run.with_checkpoints(self.sharpness_points())

    def tuned_target(
        self, stage: str, sweep: Sweep, recipe: str, setting: Setting, seed: int
    ) -> TrainingStep:
        """A target on a recipe, in the recipe's own order, at one of the settings tried for it.

        It reads another order than any proxy.
        """
        assert sweep.target is not None
        settings = sweep.target.at(setting)
        draw = _FIRST_ORDER_OF_TUNED_TARGETS + seed
        order = self.orders.of_recipe(recipe, self._samples(settings), draw)
        run = self._run(stage, recipe, settings, setting.learning_rate, seed, order)
        return _of(sweep, run)

    def longer_target(self, recipe: str, curriculum: str, longer: float, seed: int) -> TrainingStep:
        """A target of `longer` times the tokens, in random order."""
        target = self.study.target
        tokens = round(self.tokens(target) * longer)
        settings = target.model_copy(update={"tokens": tokens, "tokens_per_parameter": None})
        order = self.orders.random(recipe, "target", self._samples(settings), seed)
        run = self._run("target", recipe, settings, target.learning_rate, seed, order)
        return replace(run, curriculum=curriculum)

    def under_schedule(self, run: TrainingStep, name: str, schedule: Schedule) -> TrainingStep:
        """The same run under another schedule."""
        settings = self.study.target.under(schedule)
        training = replace(
            run.training,
            optimizer=settings.optimizer_spec(run.learning_rate),
            averaging=settings.averaging_spec,
            checkpoints_at=(),
        )
        return replace(run, training=training, schedule=name)

    def target_order(self, recipe: str, seed: int) -> RandomOrderStep:
        """The random order of a target."""
        return self.orders.random(recipe, "target", self._samples(self.study.target), seed)

    def sharpness_points(self) -> tuple[int, ...]:
        """Tokens of a target's run after which a checkpoint is kept to measure its sharpness."""
        wanted, target = self.study.evaluation.sharpness, self.study.target
        if wanted and wanted.every:
            return self._spaced(target, wanted.every)
        points = wanted.points if wanted else 1
        shares = [index / points for index in range(1, points + 1)]
        *earlier, end = self._points(target, self.tokens(target), shares)
        return tuple(sorted({at for at in earlier if 0 < at < end}))

    def scoring_points(self, name: str) -> tuple[int, ...]:
        """Tokens after which a scoring proxy's checkpoints are kept, the early one first."""
        scoring, settings = self.study.scoring, self.scoring_proxies[name].training
        return self._points(settings, self.tokens(settings), (scoring.early, *scoring.late))

    def tokens(self, settings: Training) -> int:
        """Tokens of a run, before they are cut to whole batches."""
        return settings.tokens_for(settings.model_spec(self.preparation.vocabulary))

    def _run(
        self,
        stage: str,
        recipe: str,
        settings: Training,
        rate: float,
        seed: int,
        order: OrderStep,
    ) -> TrainingStep:
        training = TrainingSpec(
            model=settings.model_spec(self.preparation.vocabulary),
            optimizer=settings.optimizer_spec(rate),
            batch_size=settings.batch_size,
            steps=self._samples(settings) // settings.batch_size,
            seed=seed,
            micro_batch_size=settings.micro_batch_size,
            precision=settings.precision,
            compile=settings.compile,
            averaging=settings.averaging_spec,
            validations_at=self._spaced(settings, settings.validate_every),
            validation_tokens_per_domain=self.study.evaluation.tokens_per_domain,
            threads=settings.threads,
        )
        run = TrainingStep(stage, recipe, RANDOM, training, order, self.preparation.validation)
        is_streamed = self.study.preparation.materialise_orders and isinstance(settings, Target)
        return replace(run, is_streamed=is_streamed)

    def _spaced(self, settings: Training, tokens: int | None) -> tuple[int, ...]:
        """Every so many `tokens` of a run, in whole steps, before its end; None: never."""
        if tokens is None:
            return ()
        per_step = settings.batch_size * self.study.tokenizer.sequence_length
        apart = max(1, round(tokens / per_step))
        steps = range(apart, self.tokens(settings) // per_step, apart)
        return tuple(step * per_step for step in steps)

    def _points(self, settings: Training, tokens: int, shares: Sequence[float]) -> tuple[int, ...]:
        """Tokens, in whole steps, after the given shares of a run of `tokens`."""
        per_step = settings.batch_size * self.study.tokenizer.sequence_length
        return tuple(round(share * (tokens // per_step)) * per_step for share in shares)

    def _samples(self, settings: Training) -> int:
        """Whole batches of samples of a run. Raises InputError if there isn't one."""
        per_batch = settings.batch_size * self.study.tokenizer.sequence_length
        batches, tokens = self.tokens(settings) // per_batch, self.tokens(settings)
        if not batches:
            raise InputError(
                f"{settings.tokens_per_parameter} tokens_per_parameter: {tokens} tokens",
                expected=f"at least one batch of {per_batch} tokens",
                fix="raise tokens_per_parameter or lower batch_size",
            )
        return batches * settings.batch_size


def _of(sweep: Sweep, run: TrainingStep) -> TrainingStep:
    """A run as one of a sweep's, judged on as much held-out text as the sweep wants."""
    training = replace(run.training, validation_tokens_per_domain=sweep.tokens_per_domain)
    return replace(run, training=training, variant=sweep.name)
