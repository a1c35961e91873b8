"""Scores of a recipe's samples, and the targets under each curriculum and its controls."""

from collections.abc import Iterator
from dataclasses import replace

from curricle.analysis.content import RESHUFFLED
from curricle.core.jobs import ScoringSpec, SelectionSpec
from curricle.recipes.specs.curricula import (
    GrowingPool,
    Online,
    OnlineEntropyV,
    Oversampled,
    Precomputed,
    RhoLoss,
    twins_of,
)
from curricle.tasks.curriculum_order import (
    Arm,
    CurriculumOrderStep,
    ReadReshuffledStep,
    RescoredOrderStep,
)
from curricle.tasks.order import RandomOrderStep
from curricle.tasks.plan.runs import RANDOM, Runs
from curricle.tasks.plan.scores import ScoresPlan
from curricle.tasks.scores import LearnabilityStep
from curricle.tasks.step import with_inputs
from curricle.tasks.train import TrainingStep

LONGER = "{}-longer"
STATIC = "{}-static"
ARMS: dict[Arm, str] = {"curriculum": "{}", "anti": "anti-{}", "reshuffled": RESHUFFLED}


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
                self._runs.longer_target(recipe, LONGER.format(RANDOM), target.longer, seed)
                for seed in self.seeds
            ]
            for name in dict.fromkeys(twins_of(self.study.curricula).values()):
                runs += self._longer_twins(recipe, name, target.longer)
        arms = (RANDOM, *self.study.curricula)
        crossed = [run for run in self.target_runs(recipe) if run.curriculum in arms]
        for name, schedule in target.schedules.items():
            runs += [self._runs.under_schedule(run, name, schedule) for run in crossed]
        return runs

    def _longer_twins(self, recipe: str, name: str, longer: float) -> Iterator[TrainingStep]:
        """A curriculum that needs no scores of a proxy over `longer` times the tokens."""
        curriculum, label = self.study.curricula[name], LONGER.format(name)
        assert isinstance(curriculum, Oversampled)
        for seed in self.seeds[: curriculum.seeds]:
            run = self._runs.longer_target(recipe, label, longer, seed)
            scores = self.scoring.of_curriculum(recipe, curriculum, seed)
            size, base = run.training.batch_size, run.order.random
            order = CurriculumOrderStep(label, "curriculum", curriculum, base, scores, size)
            yield replace(run, order=order)

    def _precomputed(
        self, recipe: str, name: str, curriculum: Precomputed, base: RandomOrderStep
    ) -> list[TrainingStep]:
        if isinstance(curriculum, GrowingPool) and curriculum.rescore_at is not None:
            return self._rescored(recipe, name, curriculum, base)
        scores = self.scoring.of_curriculum(recipe, curriculum, base.seed)
        batch_size, runs = self.study.target.batch_size, []
        for arm, pattern in ARMS.items():
            label = pattern.format(name)
            order = CurriculumOrderStep(label, arm, curriculum, base, scores, batch_size)
            runs.append(self._runs.target("target", recipe, label, order, base.seed))
        return runs

    def _rescored(
        self, recipe: str, name: str, curriculum: GrowingPool, base: RandomOrderStep
    ) -> list[TrainingStep]:
        """The curriculum and its controls ranked anew in mid-run, beside those that are not."""
        given = self.scoring.of_curriculum(recipe, curriculum, base.seed)
        before, runs = curriculum.model_copy(update={"rescore_at": None}), []
        batch_size = self.study.target.batch_size
        for arm in ("curriculum", "anti"):
            label = ARMS[arm].format(name)
            static_label = STATIC.format(label)
            static = CurriculumOrderStep(static_label, arm, before, base, given, batch_size)
            run = self._runs.target("target", recipe, static_label, static, base.seed)
            fresh = self._fresh_scores(run, curriculum)
            begun = fresh.scoring.late[0] // run.training.model.sequence_length
            order = RescoredOrderStep(label, arm, before, static, fresh, begun)
            runs += [fresh.proxy, self._runs.target("target", recipe, label, order, base.seed)]
            if arm == "curriculum":
                label = ARMS["reshuffled"].format(name)
                order = replace(order, arm_name=label, arm="reshuffled")
                runs.append(self._runs.target("target", recipe, label, order, base.seed))
        return runs

    def _fresh_scores(self, run: TrainingStep, curriculum: GrowingPool) -> LearnabilityStep:
        """Learnability under a target's own checkpoints, which the run is made to keep."""
        assert curriculum.rescore_at is not None
        training = run.training
        late = max(2, round(curriculum.rescore_at * training.steps)) * training.tokens_per_step
        early = late // training.tokens_per_step // 2 * training.tokens_per_step
        kept = tuple(sorted({*training.checkpoints_at, early, late}))
        keeping = replace(run, training=replace(training, checkpoints_at=kept))
        spec = ScoringSpec(early=early, late=(late,), threads=training.threads)
        return LearnabilityStep(spec, keeping, run.order.random.dataset)

    def fresh_scores(self, recipe: str, name: str) -> list[LearnabilityStep]:
        """The scores that a curriculum is ranked by in mid-run; none for most."""
        runs = [run for run in self.target_runs(recipe) if run.curriculum == name]
        found = (run.order.inputs.get("scores") for run in runs)
        return [
            step
            for step in found
            if isinstance(step, LearnabilityStep) and step.proxy.stage == "target"
        ]

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
