"""Proxies within a budget: seeds are added, and recipes dropped that can't be the best any more."""

from collections.abc import Mapping

from curricle.analysis.elimination import Rule, budget_shares, next_round
from curricle.analysis.ranked import CANDIDATE
from curricle.core.store import Store
from curricle.tasks.plan import StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session
from curricle.tasks.speed import speed_of


def train_within_budget(session: Session, plan: StudyPlan) -> None:
    """Train the study's own proxies round by round; its variants have no part in it.

    Rounds are replayed from the first, so that a study that was interrupted, or gets a larger
    budget, goes on from the runs that are there. Raises InputError if the first round is too
    expensive.
    """
    costs, values, rule = prices(plan, session.store), _no_values(plan), rule_of(plan)
    controls, left = controls_of(plan), 1.0
    while step := next_round(values, costs, left, rule, controls=controls):
        left -= step.cost
        seeds = plan.ranking.seeds[step.start : step.stop]
        pairs = [(name, seed) for name in step.recipes for seed in seeds]
        runs = [run for name, seed in pairs for run in plan.ranking.runs_of(name, seed)]
        title = f"training proxies, seeds {seeds[0]} to {seeds[-1]}"
        produce_all(title, runs, tolerate=True)
        for name, seed in pairs:
            values[name].append(_tiny_loss(plan, session.store, name, seed))


def check_budget(plan: object, store: Store) -> None:
    """Refuse a budget that can't pay the first round, before anything is prepared (InputError)."""
    if isinstance(plan, StudyPlan) and plan.study.budget.is_limited:
        costs, controls = prices(plan, store), controls_of(plan)
        next_round(_no_values(plan), costs, 1.0, rule_of(plan), controls=controls)


def rule_of(plan: StudyPlan) -> Rule:
    """When recipes are looked at: the last time after the seeds that the study allows."""
    return Rule(most=len(plan.ranking.seeds))


def prices(plan: StudyPlan, store: Store) -> Mapping[str, float]:
    """One seed of each recipe as a share of the budget: its proxies at all settings."""
    budget, seed = plan.study.budget, plan.ranking.seeds[0]
    flops = {
        name: float(sum(run.flops for run in plan.ranking.runs_of(name, seed)))
        for name in rankable(plan)
    }
    each = speed_of(plan, store).seconds_per_flop
    return budget_shares(
        flops,
        {name: value * each for name, value in flops.items()},
        budget_flops=budget.flops,
        budget_seconds=budget.hours and budget.hours * 3600,
    )


def rankable(plan: StudyPlan) -> list[str]:
    """The recipes that a proxy at the tiny rate can rank."""
    return [name for name, recipe in plan.study.recipes.items() if not recipe.order]


def controls_of(plan: StudyPlan) -> list[str]:
    """The rankable recipes that can't be chosen."""
    recipes = plan.study.recipes
    return [name for name in rankable(plan) if recipes[name].role != CANDIDATE]


def _no_values(plan: StudyPlan) -> dict[str, list[float]]:
    return {name: [] for name in rankable(plan)}


def _tiny_loss(plan: StudyPlan, store: Store, recipe: str, seed: int) -> float:
    """The loss at the tiny rate; NaN for a run that failed."""
    tiny = plan.study.proxy.tiny_rate
    runs = plan.ranking.runs_of(recipe, seed)
    run = next(run for run in runs if run.setting == plan.study.proxy.main(tiny))
    return run.average_loss(store) if store.exists(run.artifact) else float("nan")
