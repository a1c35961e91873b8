"""A study laid out as steps: everything it will do, known before anything runs.

Only two choices wait for results: which recipe is best, and which recipes confirm the ranking.
"""

from collections.abc import Sequence

from curricle.core.store import Artifact, Store
from curricle.recipes.study import Study
from curricle.tasks.plan.curricula import ARMS, LONGER, STATIC, CurriculaPlan
from curricle.tasks.plan.evaluation import EvaluationPlan
from curricle.tasks.plan.preparation import Preparation
from curricle.tasks.plan.ranking import Decision, RankingPlan
from curricle.tasks.plan.runs import RANDOM, Runs
from curricle.tasks.step import Step, with_inputs

__all__ = ["ARMS", "LONGER", "RANDOM", "STATIC", "Decision", "StudyPlan"]


class StudyPlan:
    """The steps of a study, by concern."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.preparation = Preparation(study)
        runs = Runs(self.preparation)
        self.ranking = RankingPlan(runs)
        self.curricula = CurriculaPlan(runs)
        self.evaluation = EvaluationPlan(runs)

    def layout(self, store: Store) -> dict[str, list[Step]]:
        """All steps by stage, as far as they can be told now; each with the first that needs it."""
        decision = self.ranking.decide(store)
        targets = self.curricula.target_runs(decision.best)
        scored = self.curricula.scoring.steps(decision.best)
        stages: dict[str, Sequence[Step]] = {
            "prepare": self.preparation.steps,
            "rank": [self.ranking.step()],
            "confirm": [self.ranking.confirmation(decision.confirmed)],
            "score": scored,
            "pretrain": [*targets, *self.curricula.side_runs(decision.best)],
            "evaluate": self.evaluation.steps(targets),
        }
        seen: set[Artifact] = set()
        layout: dict[str, list[Step]] = {}
        for name, steps in stages.items():
            layout[name] = [step for step in with_inputs(steps) if step.artifact not in seen]
            seen.update(step.artifact for step in layout[name])
        return layout
