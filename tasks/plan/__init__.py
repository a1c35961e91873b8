"""A study laid out as steps: everything it will do, known before anything runs.

Only these choices wait for results: which recipe is best, which recipes confirm the ranking, and at
which setting the target is best on each recipe.
"""

from collections.abc import Iterator, Sequence

from curricle.core.store import Artifact, Store
from curricle.recipes.study import Study
from curricle.tasks.plan.band import BandPlan
from curricle.tasks.plan.curricula import ARMS, LONGER, STATIC, CurriculaPlan
from curricle.tasks.plan.evaluation import EvaluationPlan
from curricle.tasks.plan.methods import MethodsPlan
from curricle.tasks.plan.preparation import Preparation
from curricle.tasks.plan.ranking import Decision, RankingPlan
from curricle.tasks.plan.runs import RANDOM, Runs
from curricle.tasks.plan.targets import TargetPlan
from curricle.tasks.step import Step, with_inputs

__all__ = ["ARMS", "LONGER", "RANDOM", "STATIC", "Decision", "StudyPlan"]


class StudyPlan:
    """The steps of a study, by concern.

    `ranking` and `target` are the study's own; `rankings` and `targets` hold those of the sweep's
    variants too.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.preparation = Preparation(study)
        runs = Runs(self.preparation)
        self.band = BandPlan(runs)
        self.rankings = tuple(RankingPlan(runs, sweep) for sweep in study.sweeps())
        self.targets = tuple(
            TargetPlan(runs, sweep) for sweep in study.sweeps() if sweep.target is not None
        )
        self.ranking, self.target = self.rankings[0], self.targets[0]
        own = {target.sweep.name: target for target in self.targets}
        self.methods = tuple(
            MethodsPlan(ranking, own.get(ranking.sweep.name, self.target), self.band)
            for ranking in self.rankings
        )
        self.curricula = CurriculaPlan(runs)
        self.evaluation = EvaluationPlan(runs)

    def layout(self, store: Store) -> dict[str, list[Step]]:
        """All steps by stage, as far as they can be told now; each with the first that needs it."""
        decision = self.ranking.decide(store)
        targets = self.curricula.target_runs(decision.best)
        scored = self.curricula.scoring.steps(decision.best)
        stages: dict[str, Sequence[Step]] = {
            "prepare": self.preparation.steps,
            "rank": list(self._ranked(store)),
            "confirm": list(self._confirmed(store, decision)),
            "score": scored,
            "pretrain": [*targets, *self.curricula.side_runs(decision.best)],
            "evaluate": self.evaluation.steps(targets),
        }
        seen: set[Artifact] = set()
        layout: dict[str, list[Step]] = {}
        for name, steps in stages.items():
            layout[name] = [step for step in with_inputs(steps, store) if step.artifact not in seen]
            seen.update(step.artifact for step in layout[name])
        return layout

    def _ranked(self, store: Store) -> Iterator[Step]:
        """What the rank stage makes, short of the check at the target's size."""
        yield from (*self.band.runs, *self.band.starts())
        if (band := self.band.present(store)) is not None:
            yield band
        for ranking in self.rankings:
            yield from (*ranking.runs(), *ranking.steps().values(), *ranking.made(store).values())

    def _confirmed(self, store: Store, decision: Decision) -> Iterator[Step]:
        for target in self.targets:
            yield from (*target.tuning_runs(), target.step(store, decision.confirmed))
        for methods in self.methods:
            yield from methods.ngrams
            if (step := methods.present(store)) is not None:
                yield step
