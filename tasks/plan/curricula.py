"""Scores of a recipe's samples, and the targets under each curriculum and its controls."""

from curricle.core.jobs import ScoringSpec
from curricle.tasks.order import Arm, CurriculumOrderStep
from curricle.tasks.plan.runs import RANDOM, Runs
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.train import TrainingStep

ARMS: dict[Arm, str] = {"curriculum": "{}", "anti": "anti-{}", "reshuffled": "{}-reshuffled"}


class CurriculaPlan:
    """The steps that score samples and train under curricula."""

    def __init__(self, runs: Runs) -> None:
        self.study, self._runs = runs.study, runs

    def scores(self, recipe: str) -> dict[int, LearnabilityStep]:
        """Learnability by seed: each target seed has a proxy and scores of its own."""
        early, *late = self._runs.scoring_points()
        spec = ScoringSpec(early=early, late=tuple(late), threads=self.study.proxy.threads)
        dataset = self._runs.preparation.datasets[recipe]
        return {
            seed: LearnabilityStep(spec, self._runs.scoring_proxy(recipe, seed), dataset)
            for seed in self._runs.target_seeds
        }

    def target_runs(self, recipe: str) -> list[TrainingStep]:
        """The target on `recipe` in random order, under each curriculum and under its controls."""
        scores = self.scores(recipe)
        runs = []
        for seed in self._runs.target_seeds:
            base = self._runs.target_order(recipe, seed)
            runs.append(self._runs.target("target", recipe, RANDOM, base, seed))
            for name, curriculum in self.study.curricula.items():
                for arm, pattern in ARMS.items():
                    label = pattern.format(name)
                    batch_size = self.study.target.batch_size
                    order = CurriculumOrderStep(
                        label, arm, curriculum, base, scores[seed], batch_size
                    )
                    runs.append(self._runs.target("target", recipe, label, order, seed))
        return runs
