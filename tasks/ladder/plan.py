"""The whole ladder as steps, known before anything runs."""

import functools
from collections.abc import Sequence
from dataclasses import replace

from curricle.core.jobs import TrainingSpec
from curricle.core.store import Artifact, Store
from curricle.core.tokenizer_file import vocabulary_size
from curricle.recipes.ladder import LadderStudy
from curricle.recipes.specs.measurements import Statistics
from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.specs.scaling import CurriculumPoint, LadderSchedule, ScoreStages
from curricle.tasks.corpus import CorpusStep, GivenTokenizerStep, TokenizerStep
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.documents import MeasurementStep
from curricle.tasks.ladder.fine_tuning import FineTuneOrderStep
from curricle.tasks.ladder.grid import Grid, Size
from curricle.tasks.ladder.items import ChoicesStep, ItemsStep
from curricle.tasks.ladder.orders import LadderOrderStep, StageMap
from curricle.tasks.ladder.runs import STAGE, LadderRun, LadderStep
from curricle.tasks.order import OrderStep, Pool, RandomOrderStep
from curricle.tasks.sample_scores import DocumentScoresStep
from curricle.tasks.step import Step, with_inputs

DATASET = "ladder"
MIX = "mix"


class LadderPlan:
    """The steps of a ladder study. Looks at the sources (once) to know what they hold."""

    def __init__(self, study: LadderStudy) -> None:
        self.study, self.scaling = study, study.scaling

    @functools.cached_property
    def corpus(self) -> CorpusStep:
        """Documents of all sources, split."""
        study = self.study
        return CorpusStep(study.corpora, study.evaluation.validation_fraction, study.seed)

    @functools.cached_property
    def tokenizer(self) -> Step:
        """The one tokenizer."""
        spec = self.study.tokenizer
        return GivenTokenizerStep(spec) if spec.is_given else TokenizerStep(spec, self.corpus)

    @functools.cached_property
    def dataset(self) -> DatasetStep:
        """What all runs read."""
        recipe = Recipe(mix=self.study.mix)
        return DatasetStep(DATASET, recipe, "train", self.corpus, self.tokenizer, self.study.seed)

    @functools.cached_property
    def validation(self) -> DatasetStep:
        """Held-out tokens."""
        return DatasetStep(
            "validation", Recipe(), "validation", self.corpus, self.tokenizer, self.study.seed
        )

    @functools.cached_property
    def items(self) -> ItemsStep | None:
        """The evaluation set, where there is a made-up corpus."""
        study = self.study
        if study.spectrum is None:
            return None
        wanted = study.evaluation
        return ItemsStep(
            study.spectrum, wanted.items_per_family, wanted.validation_fraction, study.seed
        )

    @functools.cached_property
    def grid(self) -> Grid:
        """Sizes and steps."""
        if isinstance(self.tokenizer, GivenTokenizerStep):
            return Grid(self.study, vocabulary_size(self.tokenizer.loaded))
        return Grid(self.study, self.study.tokenizer.vocabulary_size)

    @property
    def seeds(self) -> range:
        """The runs' seeds."""
        return range(self.study.seed, self.study.seed + self.scaling.seeds)

    @functools.cached_property
    def runs(self) -> list[LadderRun]:
        """Every run that ends a budget; the largest sizes first, since they take longest."""
        return [
            run
            for name, schedule in self.scaling.schedules.items()
            for size in reversed(self.grid.sizes_of(schedule))
            for curriculum in self.scaling.curricula
            for seed in self.seeds
            for run in self._runs_of(name, schedule, size, curriculum, seed)
        ]

    @functools.cached_property
    def trunks(self) -> list[LadderStep]:
        """The runs at the peak rate that branches leave, each once."""
        found = {
            run.step.trunk.artifact: run.step.trunk
            for run in self.runs
            if isinstance(run.step.trunk, LadderStep)
        }
        return list(found.values())

    @functools.cached_property
    def tuned(self) -> list[LadderRun]:
        """The fine-tuned models: one for each run of the largest budget under the main schedule."""
        if self.scaling.fine_tuning is None:
            return []
        largest = max(run.budget for run in self.runs)
        return [
            self._tuned(run)
            for run in self.runs
            if run.budget == largest and run.schedule == self.scaling.main_schedule
        ]

    def startable(self, runs: Sequence[LadderRun], store: Store) -> list[LadderStep]:
        """Those of the runs whose earlier part, if they have one, was trained."""
        steps = (run.step for run in runs)
        return [one for one in steps if one.trunk is None or store.exists(one.trunk.artifact)]

    def asked(self, runs: Sequence[LadderRun]) -> list[ChoicesStep]:
        """The items put to each run's model; none without items."""
        if self.items is None:
            return []
        threads = self.scaling.threads
        return [ChoicesStep(run.step, self.items, self.tokenizer, threads) for run in runs]

    def layout(self, store: Store) -> dict[str, list[Step]]:
        """All steps by stage, each with the first that needs it."""
        del store
        items = [self.items] if self.items else []
        stages: dict[str, Sequence[Step]] = {
            "prepare": [self.validation, self.dataset, *items],
            "trunks": self.trunks,
            "branches": [run.step for run in self.runs],
            "tune": [run.step for run in self.tuned],
            "ask": self.asked([*self.runs, *self.tuned]),
        }
        seen: set[Artifact] = set()
        layout: dict[str, list[Step]] = {}
        for name, steps in stages.items():
            layout[name] = [step for step in with_inputs(steps) if step.artifact not in seen]
            seen.update(step.artifact for step in layout[name])
        return layout

    @functools.cached_property
    def stage_map(self) -> StageMap:
        """Which stage a sample belongs to."""
        stages = self.scaling.stages
        if not isinstance(stages, ScoreStages):
            return StageMap(stages, None)
        measured = MeasurementStep(Statistics(names=(stages.by,)), self.dataset.documents)
        column = stages.by.replace("-", "_")
        length = self.study.tokenizer.sequence_length
        return StageMap(
            stages, DocumentScoresStep(stages.by, column, measured, self.dataset, length)
        )

    def segments(self, curriculum: str, size: Size) -> list[tuple[str, int]]:
        """(what is read, for how many tokens) in turn, at a size's largest budget."""
        point, stages = self.scaling.curricula[curriculum], list(self.scaling.stages.names)
        total = size.steps[-1] * self.grid.tokens_per_step
        if not point.is_sorted:
            return [(point.stage or MIX, total)]
        length = self.study.tokenizer.sequence_length
        staged = total if point.until == "end" else self.grid.staged(size) * length
        turn = stages if point.arrange == "forward" else stages[::-1]
        ends = [staged * number // len(turn) for number in range(len(turn) + 1)]
        found = [(turn[i], ends[i + 1] - ends[i]) for i in range(len(turn))]
        return [*found, (MIX, total - staged)] if total > staged else found

    def _runs_of(
        self, name: str, schedule: LadderSchedule, size: Size, curriculum: str, seed: int
    ) -> list[LadderRun]:
        """A curriculum's runs of one size, schedule and seed, one a budget."""
        grid, point = self.grid, self.scaling.curricula[curriculum]
        budgets = grid.budgets_of(size, schedule)
        shares = schedule.has_trunk and point.shares_a_run and len(budgets) > 1
        trunk = self._trunk(schedule, size, curriculum, seed) if shares else None
        found = []
        for number, steps in budgets:
            start = grid.branch_step(steps, schedule) if trunk else 0
            step = self._step(schedule, size, curriculum, seed, steps, start, trunk)
            found.append(LadderRun(curriculum, name, number, step))
        return found

    def _trunk(
        self, schedule: LadderSchedule, size: Size, curriculum: str, seed: int
    ) -> LadderStep:
        """The run at the peak rate up to where the largest budget's decay begins."""
        starts = [
            self.grid.branch_step(steps, schedule)
            for _, steps in self.grid.budgets_of(size, schedule)
        ]
        constant = schedule.model_copy(update={"schedule": "constant"})
        kept = tuple(start * self.grid.tokens_per_step for start in starts)
        return self._step(constant, size, curriculum, seed, starts[-1], 0, None, kept)

    def _step(
        self,
        schedule: LadderSchedule,
        size: Size,
        curriculum: str,
        seed: int,
        steps: int,
        start: int,
        trunk: LadderStep | None,
        states_at: tuple[int, ...] = (),
    ) -> LadderStep:
        grid, scaling = self.grid, self.scaling
        tuned = scaling.fine_tuning is not None and steps == size.steps[-1]
        training = TrainingSpec(
            model=size.model,
            optimizer=scaling.optimizer_spec(schedule, size.model.width, grid.warmup(steps)),
            batch_size=scaling.batch_size,
            steps=steps,
            seed=seed,
            validations_at=() if trunk else self._validations(steps),
            states_at=states_at or ((steps * grid.tokens_per_step,) if tuned else ()),
            start_at=start * grid.tokens_per_step,
            validation_tokens_per_domain=self.study.evaluation.tokens_per_domain,
            threads=scaling.threads,
        )
        if scaling.curricula[curriculum].is_sorted:
            training = replace(training, loss_spike=None)
        order = self._order(size, curriculum, seed, steps)
        return self._ladder_step(curriculum, training, order, trunk)

    def _ladder_step(
        self,
        curriculum: str,
        training: TrainingSpec,
        order: OrderStep,
        trunk: LadderStep | None,
    ) -> LadderStep:
        return LadderStep(STAGE, DATASET, curriculum, training, order, self.validation, trunk=trunk)

    def _validations(self, steps: int) -> tuple[int, ...]:
        per_step = self.grid.tokens_per_step
        return tuple(step * per_step for step in self.grid.validation_steps(steps) if step < steps)

    def _order(self, size: Size, curriculum: str, seed: int, steps: int) -> LadderOrderStep:
        point, batch = self.scaling.curricula[curriculum], self.scaling.batch_size
        count = steps * batch
        staged = count if point.until == "end" else min(count, self.grid.staged(size))
        base = self._mix(max(size.steps) * batch, seed)
        return LadderOrderStep(
            curriculum, point, base, self.stage_map, _staged(point, staged), count
        )

    def _mix(self, count: int, seed: int) -> RandomOrderStep:
        pool = Pool("all", self.study.tokenizer.sequence_length, 0.0, self.study.seed)
        return RandomOrderStep(self.dataset, pool, count, seed)

    def _tuned(self, run: LadderRun) -> LadderRun:
        """A run that goes on from another's end on one stage, its rate falling to zero."""
        wanted, grid = self.scaling.fine_tuning, self.grid
        assert wanted is not None
        before = run.step.training
        assert isinstance(run.step.order, LadderOrderStep)
        more = max(1, wanted.tokens // grid.tokens_per_step)
        steps = before.steps + more
        order = FineTuneOrderStep(wanted.stage, run.step.order, more * before.batch_size)
        schedule = LadderSchedule(schedule="wsd", final_fraction=0.0, decay_fraction=more / steps)
        optimizer = self.scaling.optimizer_spec(schedule, before.model.width, 0.0)
        rate = optimizer.learning_rate * wanted.rate_fraction
        training = TrainingSpec(
            model=before.model,
            optimizer=replace(optimizer, learning_rate=rate),
            batch_size=before.batch_size,
            steps=steps,
            seed=before.seed,
            start_at=before.tokens,
            validation_tokens_per_domain=before.validation_tokens_per_domain,
            # The stage may be one that the model has hardly seen.
            loss_spike=None,
            threads=before.threads,
        )
        step = self._ladder_step(f"{run.curriculum}-tuned", training, order, run.step)
        return LadderRun(run.curriculum, run.schedule, run.budget, step)


def _staged(point: CurriculumPoint, staged: int) -> int:
    """Only sorted orders depend on how much is sorted."""
    return staged if point.is_sorted else 0
