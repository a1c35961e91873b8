"""The arms of a study against their controls: as they are, at equal cost, under each schedule."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from curricle.analysis.comparison import Comparison, compare_arms
from curricle.analysis.cost_matching import EqualCost, compare_at_equal_cost
from curricle.analysis.costs import (
    ScoringCharge,
    SelectionCharge,
    scoring_charge,
    selection_charge,
    training_seconds,
)
from curricle.analysis.results import AVERAGE, arms_table
from curricle.core.store import Store
from curricle.recipes.specs.curricula import Curriculum, transfers_of, twins_of
from curricle.tasks.given_scores import GivenScoresStep, ScoringCost
from curricle.tasks.plan import ARMS, LONGER, RANDOM, STATIC, StudyPlan

Facts = dict[str, list[dict[str, Any]]]
BITS_PER_BYTE = "validation/bits_per_byte"
OPERATIONS, TIME = "operations", "time"
CONFIDENCE = 0.95
FREE = ScoringCost(0.0, 0.0)


def main_targets(plan: StudyPlan, results: pd.DataFrame) -> pd.DataFrame:
    """The targets' rows of the study's own schedule and tokens."""
    rows = results[results["stage"] == "target"]
    mine = rows["schedule"] == plan.study.target.schedule
    longer = [LONGER.format(name) for name in (RANDOM, *plan.study.curricula)]
    return rows[mine & ~rows["curriculum"].isin(longer)]


def comparisons_of(
    targets: pd.DataFrame, curricula: Mapping[str, Curriculum]
) -> tuple[Comparison, ...]:
    """Each curriculum against random, its anti-curriculum, its own samples, and its twin.

    One with given scores also against the same one with its own.
    """
    if targets.empty or not curricula or set(targets["curriculum"]) == {RANDOM}:
        return ()
    others = [*(pattern for arm, pattern in ARMS.items() if arm != "curriculum"), STATIC]
    have = set(targets["curriculum"])
    pairs = [(name, other.format(name)) for name in curricula for other in others]
    pairs += [*twins_of(curricula).items(), *transfers_of(curricula)]
    pairs = [pair for pair in pairs if have.issuperset(pair)]
    return compare_arms(arms_table(targets), RANDOM, also=pairs)


def by_schedule(plan: StudyPlan, results: pd.DataFrame) -> dict[str, tuple[Comparison, ...]]:
    """The curricula against random order under each schedule, all of which hold jointly."""
    names = (plan.study.target.schedule, *plan.study.target.schedules)
    arms = (RANDOM, *plan.study.curricula)
    rows = results[(results["stage"] == "target") & results["curriculum"].isin(arms)]
    found = {}
    for name in names if len(names) > 1 else ():
        mine = rows[rows["schedule"] == name]
        if set(mine["curriculum"]) > {RANDOM}:
            compared = compare_arms(
                arms_table(mine), RANDOM, confidence=CONFIDENCE, families=len(names)
            )
            found[name] = tuple(item for item in compared if item.domain == AVERAGE)
    return found


def by_rounding(plan: StudyPlan, targets: pd.DataFrame) -> dict[str, tuple[Comparison, ...]]:
    """The curricula against random order in bits per byte, before and after weights are rounded.

    Both hold jointly; nothing without rounding, or until there is a curriculum's run.
    """
    bits = plan.study.evaluation.weight_bits
    if bits is None:
        return {}
    metrics = {"as trained": BITS_PER_BYTE, f"in {bits} bits": f"{BITS_PER_BYTE}_int{bits}"}
    rows = targets[targets["curriculum"].isin((RANDOM, *plan.study.curricula))]
    found = {}
    for name, metric in metrics.items():
        table = arms_table(rows, metric=metric)
        if set(table["arm"]) > {RANDOM}:
            compared = compare_arms(table, RANDOM, confidence=CONFIDENCE, families=len(metrics))
            found[name] = tuple(item for item in compared if item.domain == AVERAGE)
    return found


def charges_of(plan: StudyPlan, store: Store, results: pd.DataFrame, recipe: str) -> dict[str, Any]:
    """What each curriculum's scores and choices cost, and comparisons at equal cost.

    One whose scores were given without a record of what they cost isn't compared.
    """
    curricula, facts = plan.study.curricula, _facts(plan, store, recipe)
    targets, scoring = main_targets(plan, results), results[results["stage"] == "scoring"]
    fresh = {name: _fresh_flops(plan, store, recipe, name) for name in curricula}
    charges = {
        name: scoring_charge(pd.concat([targets, mine]), name, RANDOM, fresh_flops=fresh[name])
        for name, item in curricula.items()
        if (proxies := plan.curricula.scoring.proxies_of(item))
        for mine in [scoring[scoring["variant"].isin(proxies)]]
    }
    given = {
        name: _given_cost(plan, recipe, name) for name, item in curricula.items() if item.scores
    }
    charges |= {
        name: scoring_charge(targets, name, RANDOM, cost.flops, fresh[name])
        for name, cost in given.items()
        if cost is not None
    }
    selections = {name: selection_charge(name, facts.get(name, [])) for name in curricula}
    shares: dict[str, Mapping[str, float]] = {
        name: {
            OPERATIONS: _operations(facts, charges.get(name), selections[name]),
            TIME: _seconds(plan, store, recipe, facts, name, given.get(name)),
        }
        for name in curricula
        if {name, RANDOM} <= set(facts) and given.get(name, FREE) is not None
    }
    return {
        "charges": tuple(filter(None, charges.values())),
        "selections": tuple(filter(None, selections.values())),
        "equal_costs": _equal_costs(plan, results, shares),
    }


def _equal_costs(
    plan: StudyPlan, results: pd.DataFrame, shares: dict[str, Mapping[str, float]]
) -> tuple[EqualCost, ...]:
    """Curricula against random order, those that choose while training against their twins.

    One with given scores also against the same one with its own, as if that had read as many tokens
    more as are between what their scores and choices cost.
    """
    factor = plan.study.target.longer
    rows = results[
        (results["stage"] == "target") & (results["schedule"] == plan.study.target.schedule)
    ]
    if factor is None or rows.empty:
        return ()
    controls = {RANDOM: shares}
    for name, twin in twins_of(plan.study.curricula).items():
        if {name, twin} <= set(shares):
            controls.setdefault(twin, {})[name] = _beyond(shares[name], shares[twin])
    lines = {}
    for given, own in transfers_of(plan.study.curricula):
        if {given, own} <= set(shares):
            beyond = {given: _beyond(shares[given], shares[own])}
            lines[own] = own if own in controls else RANDOM
            controls[own] = {**controls.get(own, {}), **beyond}
    return compare_at_equal_cost(
        arms_table(rows),
        controls,
        longer=LONGER,
        factor=factor,
        lines=lines,
        confidence=CONFIDENCE,
    )


def _beyond(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """What a run of the first charge takes more than one of the second, as a share of that one."""
    return {basis: (1 + first[basis]) / (1 + second[basis]) - 1 for basis in first}


def _facts(plan: StudyPlan, store: Store, recipe: str) -> Facts:
    """The records' facts of the finished targets, by arm."""
    found: Facts = {}
    for run in plan.curricula.target_runs(recipe):
        if store.exists(run.artifact):
            found.setdefault(run.curriculum, []).append(store.facts(run.artifact))
    return found


def _fresh(plan: StudyPlan, store: Store, recipe: str, name: str) -> list[dict[str, Any]]:
    """The records' facts of scoring in mid-run."""
    steps = plan.curricula.fresh_scores(recipe, name)
    return [store.facts(step.artifact) for step in steps if store.exists(step.artifact)]


def _fresh_flops(plan: StudyPlan, store: Store, recipe: str, name: str) -> float:
    """FLOPs of scoring in mid-run, mean over runs; 0 where nothing is scored again."""
    fresh = _fresh(plan, store, recipe, name)
    return float(np.mean([item["flops"] for item in fresh])) if fresh else 0.0


def _operations(
    facts: Facts,
    charge: ScoringCharge | None,
    choice: SelectionCharge | None,
) -> float:
    """A curriculum's scores and choices in operations, as a share of a random run's."""
    random = float(np.mean([item["training_flops"] for item in facts[RANDOM]]))
    scored = charge.scoring_flops if charge else 0.0
    return scored / random + (choice.flops_share if choice else 0.0)


def _given_cost(plan: StudyPlan, recipe: str, name: str) -> ScoringCost | None:
    """What the scores that a curriculum names cost; None if that isn't known."""
    seed, curriculum = plan.study.seed, plan.study.curricula[name]
    step = plan.curricula.scoring.of_curriculum(recipe, curriculum, seed)
    assert isinstance(step, GivenScoresStep)
    return step.cost


def _seconds(
    plan: StudyPlan,
    store: Store,
    recipe: str,
    facts: Facts,
    name: str,
    given: ScoringCost | None,
) -> float:
    """A curriculum's scores and choices in seconds, as a share of a random run's training."""
    random = float(np.mean([training_seconds(item) for item in facts[RANDOM]]))
    chosen = float(np.mean([item.get("selection_seconds", 0.0) for item in facts[name]]))
    fresh = _fresh(plan, store, recipe, name)
    chosen += float(np.mean([item["seconds"] for item in fresh])) if fresh else 0.0
    chosen += given.seconds if given else _scoring_seconds(plan, store, recipe, name)
    return chosen / random


def _scoring_seconds(plan: StudyPlan, store: Store, recipe: str, name: str) -> float:
    """What making a curriculum's scores took, training of proxies included; mean over seeds."""
    found = []
    for steps in plan.curricula.scoring.behind(recipe, plan.study.curricula[name]):
        if all(store.exists(step.artifact) for step in steps):
            facts = [store.facts(step.artifact) for step in steps]
            found.append(sum(training_seconds(item) for item in facts))
    return float(np.mean(found)) if found else 0.0
