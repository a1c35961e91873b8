"""Scores of a recipe's samples, and the targets under each curriculum and its controls."""

from curricle.tasks.order import Arm, CurriculumOrderStep
from curricle.tasks.plan.runs import RANDOM, Runs
from curricle.tasks.plan.scores import ScoresPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.step import with_inputs
from curricle.tasks.train import TrainingStep

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
        for seed in self._runs.target_seeds:
            base = self._runs.target_order(recipe, seed)
            runs.append(self._runs.target("target", recipe, RANDOM, base, seed))
            for name, curriculum in self.study.curricula.items():
                scores = self.scoring.of_curriculum(recipe, curriculum, seed)
                batch_size = self.study.target.batch_size
                for arm, pattern in ARMS.items():
                    label = pattern.format(name)
                    order = CurriculumOrderStep(label, arm, curriculum, base, scores, batch_size)
                    runs.append(self._runs.target("target", recipe, order.name, order, seed))
        return runs
