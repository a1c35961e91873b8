"""The ways to rank recipes that are compared with a tuned target."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from curricle.analysis.methods import method_at
from curricle.core.jobs import NgramSpec
from curricle.core.store import Store
from curricle.recipes.specs.training import Setting
from curricle.tasks.baselines import BaselineStep
from curricle.tasks.methods import Method, MethodsStep
from curricle.tasks.plan.band import BandPlan
from curricle.tasks.plan.ranking import RankingPlan
from curricle.tasks.plan.targets import TargetPlan
from curricle.tasks.train import TrainingStep


class MethodsPlan:
    """The methods of one sweep, and the target they are judged by; none unless it is tuned."""

    def __init__(self, ranking: RankingPlan, target: TargetPlan, band: BandPlan) -> None:
        self.study, self.sweep = ranking.study, ranking.sweep
        self._ranking, self._target, self._band = ranking, target, band

    @functools.cached_property
    def ngrams(self) -> tuple[BaselineStep, ...]:
        """N-gram models of what each recipe's proxies read."""
        if not self._target.tuning:
            return ()
        tiny = self.sweep.proxy.main(self.sweep.proxy.tiny_rate)
        runs = self._blinded(self._ranking.runs_at(tiny))
        return tuple(BaselineStep(run, _ngram_spec(run)) for run in runs)

    def methods(self) -> tuple[Method, ...]:
        """All methods, the tiny rate first."""
        proxy = self.sweep.proxy
        starts = () if self.sweep.name else tuple(self._band.starts())
        found = (
            *(self._at(proxy.main(rate), method_at(rate)) for rate in sorted(proxy.learning_rates)),
            *self._stopped(),
            *self._larger_batches(),
            Method("tuned proxies", "tuned", self._blinded(self._ranking.runs())),
            Method("gradient alignment", "gain", starts),
            Method("untrained loss", "training_loss", starts),
            Method("unigram", "unigram", self.ngrams),
            Method("bigram", "bigram", self.ngrams),
        )
        return tuple(method for method in found if method.steps)

    def present(self, store: Store) -> MethodsStep | None:
        """The comparison over what the store has; None without a tuned target's ranking."""
        ranking = self._target.present(store, ()) if self._target.tuning else None
        if ranking is None:
            return None
        recipes = {name: self.study.recipes[name] for name in self.sweep.recipes}
        methods = tuple(self._stored(store))
        if not methods:
            return None
        return MethodsStep(
            title="-".join(filter(None, ["methods", self.sweep.name])),
            methods=methods,
            targets=tuple(run for run in ranking.runs if run.recipe in recipes),
            baseline=self.study.baseline,
            roles={name: recipe.role for name, recipe in recipes.items()},
            dimensions={name: recipe.dimension for name, recipe in recipes.items()},
        )

    def _stored(self, store: Store) -> Iterator[Method]:
        """Each method with the steps that are there, if these can rank anything."""
        for method in self.methods():
            kept = replace(
                method, steps=tuple(step for step in method.steps if store.exists(step.artifact))
            )
            if self.study.baseline in kept.recipes and len(kept.recipes) > 1:
                yield kept

    def _rates(self) -> list[float]:
        return sorted(self.sweep.proxy.learning_rates)

    def _at(self, setting: Setting, name: str) -> Method:
        runs = self._ranking.runs_at(setting)
        blind = setting.learning_rate < self.sweep.proxy.standard_rate
        return Method(name, "end", self._blinded(runs) if blind else tuple(runs))

    def _stopped(self) -> Iterator[Method]:
        """The tiny and the standard rate, stopped wherever the proxies are validated on the way."""
        proxy = self.sweep.proxy
        for rate in sorted({proxy.tiny_rate, proxy.standard_rate}):
            whole = self._at(proxy.main(rate), method_at(rate))
            run = self._ranking.runs_at(proxy.main(rate))[0]
            for tokens in run.training.validations_at:
                name = f"{whole.name}, stopped at {tokens}"
                yield replace(whole, name=name, how="stopped", tokens=tokens)

    def _larger_batches(self) -> Iterator[Method]:
        """The standard rate with each larger batch that is tried."""
        proxy = self.sweep.proxy
        for size in sorted({*proxy.batch_sizes, *proxy.larger_batches}):
            if size > proxy.batch_size:
                setting = replace(proxy.main(proxy.standard_rate), batch_size=size)
                yield self._at(setting, f"{method_at(proxy.standard_rate)}, batch {size}")

    def _blinded(self, runs: Sequence[TrainingStep]) -> tuple[TrainingStep, ...]:
        """Without the recipes that differ in order alone, which a tiny rate can't see."""
        return tuple(run for run in runs if not self.study.recipes[run.recipe].order)


def _ngram_spec(run: TrainingStep) -> NgramSpec:
    model = run.training.model
    return NgramSpec(
        vocabulary_size=model.vocabulary_size,
        sequence_length=model.sequence_length,
        validation_tokens_per_domain=run.training.validation_tokens_per_domain,
        threads=run.training.threads,
    )
