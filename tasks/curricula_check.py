"""What would fail under a study's curricula, told as soon as the datasets are there.

Scores of proxies and a ranking stand between a dataset and the orders made of it, hours perhaps:
what an order lacks that no score can give it is told before, and so is a table that has no number
for a document.
"""

from collections.abc import Iterable

from curricle.core.errors import InputError
from curricle.core.store import Store
from curricle.tasks.curriculum_order import CurriculumOrderStep
from curricle.tasks.given_scores import GivenScoresStep
from curricle.tasks.plan import StudyPlan
from curricle.tasks.sample_scores import DocumentColumnStep
from curricle.tasks.step import with_inputs


def check_candidates(plan: StudyPlan, store: Store) -> None:
    """Raise InputError if no recipe that may turn out best can be read under all curricula.

    Nothing is said while a dataset is missing that may be the one.
    """
    recipes = plan.study.recipes.items()
    candidates = [name for name, recipe in recipes if recipe.role == "candidate"]
    if not all(store.exists(plan.preparation.datasets[name].artifact) for name in candidates):
        return
    # Each dataset once: recipes that differ in order alone share one.
    distinct = dict.fromkeys(plan.preparation.datasets[name].name for name in candidates)
    problems = list(_problems(plan, store, distinct))
    if len(problems) == len(distinct):
        raise problems[0]


def check_recipe(plan: StudyPlan, store: Store, recipe: str) -> None:
    """Raise InputError if a prepared recipe can't be read under all curricula."""
    for problem in _problems(plan, store, [recipe]):
        raise problem


def _problems(plan: StudyPlan, store: Store, recipes: Iterable[str]) -> Iterable[InputError]:
    """The first problem of each recipe that has one."""
    for recipe in recipes:
        try:
            _check(plan, store, recipe)
        except InputError as problem:
            yield InputError(
                f"recipe {recipe}: {problem.found}", expected=problem.expected, fix=problem.fix
            )


def _check(plan: StudyPlan, store: Store, recipe: str) -> None:
    dataset = store.folder(plan.preparation.datasets[recipe].artifact)
    for scored in plan.curricula.proxy_scores(recipe):
        scored.proxy.order.random.check(dataset)
    for step in with_inputs(plan.curricula.scoring.steps(recipe)):
        if isinstance(step, DocumentColumnStep):
            step.check(dataset)
    for run in plan.curricula.target_runs(recipe):
        if isinstance(run.order, CurriculumOrderStep):
            run.order.check(dataset)
        for scores in (run.order.inputs.get("scores"), run.irreducible):
            if isinstance(scores, GivenScoresStep):
                scores.check(dataset)
