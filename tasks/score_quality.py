"""What the stored scores of a study are worth, and samples from both of their ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from curricle.analysis.content import ScoredText
from curricle.analysis.score_quality import MeasuredScore, ScoreQualities, judge_scores
from curricle.core.scores_file import column_of, proxied, read_halves, read_scores
from curricle.core.store import Store
from curricle.core.token_dataset import TokenDataset
from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.ordering import partition
from curricle.recipes.tokenizing import decode
from curricle.tasks.plan import StudyPlan
from curricle.tasks.scores import LOSSES, LearnabilityStep
from curricle.tasks.step import Step

EXAMPLES_PER_END, EXAMPLE_CHARACTERS = 3, 240

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ScoredSamples:
    """The scores of the samples that targets may read.

    `first` has columns domain and score: the first seed's values of the first score, `score`.
    `ends` are by score the samples that are highest by it, then those that are lowest.
    """

    score: str
    samples: int
    first: pd.DataFrame
    qualities: ScoreQualities
    ends: Mapping[str, tuple[ScoredText, ...]]

    @property
    def examples(self) -> tuple[ScoredText, ...]:
        """The ends of the first score."""
        return self.ends[self.score]


def scored_samples(plan: StudyPlan, store: Store, recipe: str) -> ScoredSamples | None:
    """What the store holds of the study's scores; None before there is one."""
    steps = {name: _finished(plan, store, recipe, name) for name in plan.curricula.scoring.wanted}
    steps = {name: found for name, found in steps.items() if found}
    if not steps:
        return None
    length, scoring = plan.study.tokenizer.sequence_length, plan.study.scoring
    folder = store.folder(plan.preparation.datasets[recipe].artifact)
    dataset = TokenDataset(folder, length)
    pool = partition(len(dataset), scoring.holdout, plan.study.seed, "target")
    domains = np.array(dataset.domains)[dataset.domain_of_samples()[pool]]
    measured = [
        _measured(store, name, found, pool, _by_own_proxy(plan, store, recipe, name))
        for name, found in steps.items()
    ]
    values = measured[0].by_seed[0]
    return ScoredSamples(
        score=measured[0].name,
        samples=len(pool),
        first=pd.DataFrame({"domain": domains, "score": values}),
        qualities=judge_scores(measured, domains.tolist()),
        ends={
            item.name: _examples(plan, store, dataset, pool, item.by_seed[0]) for item in measured
        },
    )


def _finished(plan: StudyPlan, store: Store, recipe: str, score: str) -> list[Step]:
    """The steps that have measured a score: one, or one for each seed."""
    scoring = plan.curricula.scoring
    steps = [scoring.step(recipe, score, seed) for seed in plan.curricula.seeds]
    distinct = {step.artifact: step for step in steps}
    return [step for step in distinct.values() if store.exists(step.artifact)]


def _by_own_proxy(
    plan: StudyPlan, store: Store, recipe: str, score: str
) -> list[tuple[Step, Step]]:
    """For each seed a further proxy's scores and those of the study's own, where both are there."""
    scoring, (plain, proxy) = plan.curricula.scoring, proxied(score)
    pairs = [
        (scoring.step(recipe, score, seed), scoring.step(recipe, plain, seed))
        for seed in (plan.curricula.seeds if proxy else ())
    ]
    return [pair for pair in pairs if all(store.exists(step.artifact) for step in pair)]


def _measured(
    store: Store,
    score: str,
    steps: Sequence[Step],
    pool: Integers,
    by_own_proxy: Sequence[tuple[Step, Step]],
) -> MeasuredScore:
    folders, column = [store.folder(step.artifact) for step in steps], column_of(score)

    def read(step: Step) -> Floats:
        return read_scores(store.folder(step.artifact), column)[pool]

    halves = read_halves(folders[0], column)
    variants: list[Floats] = []
    if column == "learnability" and isinstance(steps[0], LearnabilityStep):
        losses_CN = np.load(folders[0] / LOSSES)[:, pool]
        variants = list(losses_CN[0] - losses_CN[1:])
    return MeasuredScore(
        name=score,
        by_seed=[read(step) for step in steps],
        halves=None if halves is None else halves[:, pool],
        variants=variants,
        by_own_proxy=[(read(further), read(own)) for further, own in by_own_proxy],
    )


def _examples(
    plan: StudyPlan, store: Store, dataset: TokenDataset, pool: Integers, values: Floats
) -> tuple[ScoredText, ...]:
    tokenizer = load_tokenizer(store.folder(plan.preparation.tokenizer.artifact))
    order = np.argsort(values, kind="stable")
    ends = [*order[::-1][:EXAMPLES_PER_END], *order[:EXAMPLES_PER_END]]
    domains = dataset.domain_of_samples()

    def show(index: Any) -> ScoredText:
        tokens = dataset.read(pool[[index]])[0].tolist()
        return ScoredText(
            domain=dataset.domains[domains[pool[index]]],
            score=float(values[index]),
            text=decode(tokenizer, tokens)[:EXAMPLE_CHARACTERS],
        )

    return tuple(show(index) for index in ends)
