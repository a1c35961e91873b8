"""The check at the target's size: a few recipes as they are, or all of them tuned."""

from collections.abc import Sequence
from statistics import mean

from curricle.core.store import Store
from curricle.recipes.specs.sweep import Sweep
from curricle.recipes.specs.training import Setting
from curricle.tasks.plan.runs import RANDOM, Runs
from curricle.tasks.ranking import RankingStep
from curricle.tasks.train import TrainingStep


class TargetPlan:
    """The steps that train a sweep's target on the recipes."""

    def __init__(self, runs: Runs, sweep: Sweep) -> None:
        self.study, self.sweep, self._runs = runs.study, sweep, runs
        self.tuning = sweep.target.tuning if sweep.target else None

    def tuning_runs(self) -> list[TrainingStep]:
        """Every recipe at every setting that is tried, with seeds that count after the target's."""
        target = self.sweep.target
        if self.tuning is None or target is None:
            return []
        first = self._runs.seeds(target).stop
        return [
            self._runs.tuned_target("tuning", self.sweep, name, setting, seed)
            for name in self.sweep.recipes
            for setting in self.tuning.settings(target)
            for seed in range(first, first + self.tuning.seeds)
        ]

    def winners(self, store: Store) -> dict[str, Setting]:
        """Each recipe's best setting over the runs that the store has; the target's own before."""
        assert self.sweep.target is not None
        found = self._tuned(store)
        return {name: found.get(name, self.sweep.target.main) for name in self.sweep.recipes}

    def at_edge(self, store: Store) -> dict[str, list[str]]:
        """The recipes that are best at the `highest` and at the `lowest` rate of several."""
        rates = self.tuning.learning_rates if self.tuning else ()
        if len(rates) < 2:
            return {}
        ends = {"highest": max(rates), "lowest": min(rates)}
        best = {name: setting.learning_rate for name, setting in self._tuned(store).items()}
        return {
            end: names
            for end, rate in ends.items()
            if (names := [name for name in best if best[name] == rate])
        }

    def _tuned(self, store: Store) -> dict[str, Setting]:
        """The best setting of each recipe that was tried at any."""
        losses: dict[str, dict[Setting, list[float]]] = {}
        for run in self.tuning_runs():
            if store.exists(run.artifact):
                loss = run.average_loss(store)
                losses.setdefault(run.recipe, {}).setdefault(run.setting, []).append(loss)
        return {
            name: min(found, key=lambda setting: (mean(found[setting]), setting))
            for name, found in losses.items()
        }

    def tuned_runs(self, store: Store) -> list[TrainingStep]:
        """Each recipe at its best setting, with the target's seeds."""
        target = self.sweep.target
        if self.tuning is None or target is None:
            return []
        return [
            self._runs.tuned_target("confirm", self.sweep, name, setting, seed)
            for name, setting in self.winners(store).items()
            for seed in self._runs.seeds(target)
        ]

    def chosen_runs(self, recipes: Sequence[str]) -> list[TrainingStep]:
        """The target on each of `recipes`, in random order, at its own setting."""
        runs = self._runs
        return [
            runs.target("confirm", name, RANDOM, runs.target_order(name, seed), seed)
            for name in recipes
            for seed in runs.target_seeds
        ]

    def runs(self, store: Store, recipes: Sequence[str]) -> list[TrainingStep]:
        """What the ranking at the target's size is made from: tuned, or on `recipes` alone."""
        return self.tuned_runs(store) if self.tuning else self.chosen_runs(recipes)

    def step(self, store: Store, recipes: Sequence[str]) -> RankingStep:
        """That ranking: against the study's baseline where all are tuned, else the first recipe."""
        names = self.sweep.recipes if self.tuning else recipes
        return RankingStep(
            title="-".join(filter(None, ["confirm", self.sweep.name])),
            runs=tuple(self.runs(store, recipes)),
            baseline=self.study.baseline if self.tuning else names[0],
            roles={name: self.study.recipes[name].role for name in names},
        )

    def present(self, store: Store, recipes: Sequence[str]) -> RankingStep | None:
        """The ranking over the runs that the store has, if these can be ranked."""
        step = self.step(store, recipes)
        return step.over(tuple(run for run in step.runs if store.exists(run.artifact)))
