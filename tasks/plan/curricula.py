"""Scores of a recipe's samples, and the targets under each curriculum and its controls."""

from dataclasses import replace

from curricle.core.jobs import SelectionSpec
from curricle.recipes.specs.curricula import Online, OnlineEntropyV, Precomputed, RhoLoss
from curricle.tasks.order import Arm, CurriculumOrderStep, RandomOrderStep, ReadReshuffledStep
from curricle.tasks.plan.runs import RANDOM, Runs
from curricle.tasks.plan.scores import ScoresPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.step import with_inputs
from curricle.tasks.train import TrainingStep

LONGER = "random-longer"
ARMS: dict[Arm, str] = {"curriculum": "{}", "anti": "anti-{}", "reshuffled": "{}-reshuffled"}


class CurriculaPlan:
    """The steps that score samples and train under curricula."""

    def __init__(self, runs: Runs) -> None:
        self.study, self._runs = runs.study, runs
        self.scoring = ScoresPlan(runs)

    @property
    def seeds(self) -> range:
        """The targets' seeds, each of which has a scoring proxy of its own."""
        return self._runs.target_seeds

    def proxy_scores(self, recipe: str) -> list[LearnabilityStep]:
        """The scoring proxies that the study needs, each with the scores it gives."""
        steps = with_inputs(self.scoring.steps(recipe))
        return [step for step in steps if isinstance(step, LearnabilityStep)]

    def target_runs(self, recipe: str) -> list[TrainingStep]:
        """The target on `recipe` in random order, under each curriculum and under its controls."""
        runs = []
        for number, seed in enumerate(self._runs.target_seeds):
            base = self._runs.target_order(recipe, seed)
            runs.append(self._runs.target("target", recipe, RANDOM, base, seed))
            for name, curriculum in self.study.curricula.items():
                if curriculum.seeds is not None and number >= curriculum.seeds:
                    continue
                if isinstance(curriculum, RhoLoss | OnlineEntropyV):
                    runs += self._online(recipe, name, curriculum, base)
                else:
                    runs += self._precomputed(recipe, name, curriculum, base)
        return runs

    def side_runs(self, recipe: str) -> list[TrainingStep]:
        """Targets that put the others into perspective: more tokens, other schedules."""
        target, runs = self.study.target, []
        if target.longer is not None and self.study.curricula:
            runs += [
                self._runs.longer_target(recipe, LONGER, target.longer, seed) for seed in self.seeds
            ]
        arms = (RANDOM, *self.study.curricula)
        crossed = [run for run in self.target_runs(recipe) if run.curriculum in arms]
        for name, schedule in target.schedules.items():
            runs += [self._runs.under_schedule(run, name, schedule) for run in crossed]
        return runs

    def _precomputed(
        self, recipe: str, name: str, curriculum: Precomputed, base: RandomOrderStep
    ) -> list[TrainingStep]:
        scores = self.scoring.of_curriculum(recipe, curriculum, base.seed)
        batch_size, runs = self.study.target.batch_size, []
        for arm, pattern in ARMS.items():
            label = pattern.format(name)
            order = CurriculumOrderStep(label, arm, curriculum, base, scores, batch_size)
            runs.append(self._runs.target("target", recipe, label, order, base.seed))
        return runs

    def _online(
        self, recipe: str, name: str, curriculum: Online, base: RandomOrderStep
    ) -> list[TrainingStep]:
        """Two runs that choose while they train, and one over what the first one chose."""
        candidates = replace(base, count=base.count * curriculum.oversampling)
        scores = self.scoring.of_curriculum(recipe, curriculum, base.seed)
        runs = []
        for inverted in (False, True):
            label = ARMS["anti" if inverted else "curriculum"].format(name)
            run = self._runs.target("target", recipe, label, candidates, base.seed)
            selection = _selection(curriculum, inverted=inverted)
            runs.append(
                replace(
                    run,
                    training=replace(run.training, selection=selection),
                    irreducible=scores if selection.policy == "rho-loss" else None,
                )
            )
        label = ARMS["reshuffled"].format(name)
        order = ReadReshuffledStep(label, runs[0], base)
        return [*runs, self._runs.target("target", recipe, label, order, base.seed)]


def _selection(curriculum: Online, *, inverted: bool) -> SelectionSpec:
    if isinstance(curriculum, RhoLoss):
        return SelectionSpec(
            policy="rho-loss", oversampling=curriculum.oversampling, inverted=inverted
        )
    return SelectionSpec(
        policy="entropy-v",
        oversampling=curriculum.oversampling,
        turn=curriculum.turn,
        inverted=inverted,
    )
