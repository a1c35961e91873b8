"""The proxies that rank the recipes, and what the ranking decides."""

from collections.abc import Iterable
from dataclasses import dataclass

from curricle.analysis.ranking import Ranking, representatives
from curricle.core.store import Store
from curricle.recipes.specs.sweep import Sweep
from curricle.recipes.specs.training import Setting
from curricle.tasks.plan.runs import Runs
from curricle.tasks.ranking import RankingStep
from curricle.tasks.train import TrainingStep


@dataclass(frozen=True)
class Decision:
    """What the ranking decided: the best recipe, and those that confirm it at the target's size.

    Before there is a ranking the baseline stands in for the best, so that the rest can be laid out.
    """

    best: str
    confirmed: tuple[str, ...]
    from_ranking: bool


class RankingPlan:
    """The steps that rank the recipes of one sweep.

    A ranking is made from the runs that the store has: all of them, or what is left when some
    failed or a budget was spent.
    """

    def __init__(self, runs: Runs, sweep: Sweep) -> None:
        self.study, self.sweep, self._runs = runs.study, sweep, runs

    @property
    def seeds(self) -> range:
        """The seeds of the proxies."""
        return self._runs.seeds(self.sweep.proxy)

    def runs(self) -> list[TrainingStep]:
        """Every recipe at every setting with every seed."""
        settings = self.sweep.proxy.settings(self.sweep.proxy)
        return [run for setting in settings for run in self.runs_at(setting)]

    def runs_at(self, setting: Setting) -> list[TrainingStep]:
        """Every recipe at one setting with every seed."""
        return [
            self._runs.proxy(self.sweep, name, setting, seed)
            for name in self.sweep.recipes
            for seed in self.seeds
        ]

    def runs_of(self, recipe: str, seed: int) -> list[TrainingStep]:
        """One recipe at every setting with one seed."""
        settings = self.sweep.proxy.settings(self.sweep.proxy)
        return [self._runs.proxy(self.sweep, recipe, setting, seed) for setting in settings]

    def steps(self) -> dict[float, RankingStep]:
        """The whole ranking at each rate."""
        proxy = self.sweep.proxy
        rates = sorted(proxy.learning_rates)
        return {rate: self.over(rate, self.runs_at(proxy.main(rate))) for rate in rates}

    def over(self, rate: float, runs: Iterable[TrainingStep]) -> RankingStep:
        """The ranking of these runs; at all but the standard rate order can't be seen."""
        recipes = {name: self.study.recipes[name] for name in self.sweep.recipes}
        rates = self.sweep.proxy.learning_rates
        blind = rate < max(rates) or len(rates) == 1
        return RankingStep(
            title="-".join(filter(None, ["proxy", self.sweep.name, f"lr{rate:g}"])),
            runs=tuple(runs),
            baseline=self.study.baseline,
            roles={name: recipe.role for name, recipe in recipes.items()},
            order_only=tuple(name for name, one in recipes.items() if one.order and blind),
        )

    def present(self, store: Store) -> dict[float, RankingStep]:
        """The ranking at each rate over the runs that the store has, where these can be ranked."""
        found = {}
        for rate, step in self.steps().items():
            runs = tuple(run for run in step.runs if store.exists(run.artifact))
            if (part := step.over(runs)) is not None:
                found[rate] = part
        return found

    def made(self, store: Store) -> dict[float, RankingStep]:
        """Those rankings that the store has."""
        present = self.present(store)
        return {rate: step for rate, step in present.items() if store.exists(step.artifact)}

    def tiny(self, store: Store) -> Ranking | None:
        """The stored ranking at the tiny rate, if there is one."""
        step = self.made(store).get(self.sweep.proxy.tiny_rate)
        return step.read(store) if step else None

    def decide(self, store: Store) -> Decision:
        """The choices that later stages build on."""
        if (tiny := self.tiny(store)) is not None:
            chosen = representatives(tiny, self.study.target.confirm)
            return Decision(tiny.best.recipe, chosen, from_ranking=True)
        recipes = self.study.recipes
        plain = [name for name, recipe in recipes.items() if not recipe.order]
        plain.sort(key=lambda name: recipes[name].role == "bad-control")
        assumed = (*plain[: self.study.target.confirm - 1], plain[-1])
        return Decision(self.study.baseline, assumed, from_ranking=False)
