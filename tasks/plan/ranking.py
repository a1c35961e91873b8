"""The proxies that rank the recipes, what the ranking decides, and the check at target size."""

from collections.abc import Sequence
from dataclasses import dataclass

from curricle.analysis.ranking import Ranking, representatives
from curricle.core.store import Store
from curricle.tasks.plan.runs import RANDOM, Runs
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
    """The steps that rank recipes."""

    def __init__(self, runs: Runs) -> None:
        self.study, self._runs = runs.study, runs

    def runs(self) -> list[TrainingStep]:
        """Every recipe at every learning rate with every seed."""
        return [
            self._runs.proxy(name, rate, seed)
            for rate in sorted(self.study.proxy.learning_rates)
            for name in self.study.recipes
            for seed in self._runs.proxy_seeds
        ]

    def step(self) -> RankingStep:
        """The proxies' ranking at each rate; at all but the standard one order can't be seen."""
        recipes = self.study.recipes
        rates = self.study.proxy.learning_rates
        return RankingStep(
            title="proxy",
            runs=tuple(self.runs()),
            baseline=self.study.baseline,
            roles={name: recipe.role for name, recipe in recipes.items()},
            order_only=tuple(name for name, recipe in recipes.items() if recipe.order),
            order_blind=tuple(rate for rate in rates if rate < max(rates) or len(rates) == 1),
        )

    def tiny(self, store: Store) -> Ranking:
        """The stored ranking at the tiny rate."""
        return self.step().read(store)[self.study.proxy.tiny_rate]

    def decide(self, store: Store) -> Decision:
        """The choices that later stages build on."""
        if store.exists(self.step().artifact):
            tiny = self.tiny(store)
            chosen = representatives(tiny, self.study.target.confirm)
            return Decision(tiny.best.recipe, chosen, from_ranking=True)
        recipes = self.study.recipes
        plain = [name for name, recipe in recipes.items() if not recipe.order]
        plain.sort(key=lambda name: recipes[name].role == "bad-control")
        assumed = (*plain[: self.study.target.confirm - 1], plain[-1])
        return Decision(self.study.baseline, assumed, from_ranking=False)

    def confirmation(self, recipes: Sequence[str]) -> RankingStep:
        """The ranking of a few recipes at the target's size, against the first of them."""
        roles = {name: self.study.recipes[name].role for name in recipes}
        runs = tuple(self.confirmation_runs(recipes))
        return RankingStep(title="confirm", runs=runs, baseline=recipes[0], roles=roles)

    def confirmation_runs(self, recipes: Sequence[str]) -> list[TrainingStep]:
        """The target on each of `recipes`, in random order."""
        runs = self._runs
        return [
            runs.target("confirm", name, RANDOM, runs.target_order(name, seed), seed)
            for name in recipes
            for seed in runs.target_seeds
        ]
