"""The search for the tiny rate, and where each recipe's proxies start."""

import functools

from curricle.core.jobs import StartSpec
from curricle.core.store import Store
from curricle.recipes.specs.sweep import Band
from curricle.tasks.band import BandStep
from curricle.tasks.baselines import BaselineStep
from curricle.tasks.plan.runs import Runs
from curricle.tasks.train import TrainingStep

VALIDATION_TOKENS = 4096
"""Held-out tokens of each domain whose gradient the recipes' are compared with."""


class BandPlan:
    """The steps that find the usable rates; nothing unless the study asks for them."""

    def __init__(self, runs: Runs) -> None:
        self.study, self._runs = runs.study, runs

    @functools.cached_property
    def runs(self) -> tuple[TrainingStep, ...]:
        """Some recipes at every rate that is tried."""
        band = self.study.band
        if band is None:
            return ()
        first = self.study.seed
        return tuple(
            self._runs.band_proxy(band, name, rate, seed)
            for rate in sorted(band.learning_rates)
            for name in self._recipes(band)
            for seed in range(first, first + band.seeds)
        )

    def starts(self) -> list[BaselineStep]:
        """Where the proxies start: alignment per recipe and seed, curvature on the first recipe."""
        if self.study.band is None:
            return []
        return [
            self._start(self.study.band, name, seed)
            for name, recipe in self.study.recipes.items()
            if not recipe.order
            for seed in self._runs.seeds(self.study.proxy)
        ]

    def present(self, store: Store) -> BandStep | None:
        """The band over the runs that the store has; None without any, or without the start."""
        band = self.study.band
        runs = tuple(run for run in self.runs if store.exists(run.artifact))
        if band is None or not runs:
            return None
        start = self._start(band, self.study.baseline, self.study.seed)
        if not store.exists(start.artifact):
            return None
        return BandStep(runs, start, tuple(sorted(band.learning_rates)))

    def _start(self, band: Band, recipe: str, seed: int) -> BaselineStep:
        sweep = self.study.sweeps()[0]
        run = self._runs.proxy(sweep, recipe, sweep.proxy.main(sweep.proxy.tiny_rate), seed)
        training = run.training
        curved = recipe == self.study.baseline and seed == self.study.seed
        tokens = min(VALIDATION_TOKENS, self.study.evaluation.tokens_per_domain)
        measured = StartSpec(
            model=training.model,
            optimizer=training.optimizer,
            batch_size=training.batch_size,
            batches=min(band.batches, training.steps),
            seed=seed,
            learning_rates=tuple(sorted(band.learning_rates)),
            validation_tokens_per_domain=tokens,
            products=band.products if curved else 0,
            curvature_samples=band.curvature_samples,
            threads=training.threads,
        )
        return BaselineStep(run, measured)

    def _recipes(self, band: Band) -> tuple[str, ...]:
        """Those named, or all candidates: a bad control would only make the seeds look alike."""
        recipes = self.study.recipes.items()
        plain = (name for name, one in recipes if not one.order and one.role == "candidate")
        return band.recipes or tuple(plain)
