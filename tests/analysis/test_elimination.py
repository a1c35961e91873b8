"""Successive elimination: the best survives, the rest goes, and the money is kept in sight."""

import numpy as np
import pytest

from curricle.analysis.elimination import Round, Rule, budget_shares, next_round, survivors
from curricle.core.errors import InputError

RULE = Rule(first=3, most=6)
PRICES = {"a": 1.0, "b": 1.0, "c": 1.0}


def _share_that_keeps_the_best(truth: np.ndarray, studies: int) -> float:
    """Share of studies in which the first recipe, which is the best, outlives every look."""
    random = np.random.default_rng([len(truth), int(10 * truth.max())])
    seeds, kept = RULE.most, 0
    for _ in range(studies):
        shared = random.normal(0, 5, seeds)
        values = truth[:, None] + shared + random.normal(0, 1, (len(truth), seeds))
        kept += survivors(values, RULE)[0]
    return kept / studies


@pytest.mark.parametrize("gap", [0.0, 0.5])
@pytest.mark.parametrize("recipes", [2, 8])
def test_the_best_is_dropped_in_at_most_five_studies_of_a_hundred(recipes: int, gap: float) -> None:
    """With no gap every recipe is as good as the best: the hardest case."""
    truth = np.where(np.arange(recipes) > 0, gap, 0.0)
    share = _share_that_keeps_the_best(truth, 1000)
    print(f"{recipes} recipes, gap {gap}: the best survives in {share:.1%} of 1,000 studies")
    assert share >= 0.95


def test_it_holds_too_when_the_rounds_are_played_out() -> None:
    """200 studies in which what is dropped is really not run, and some runs fail."""
    random, kept, runs = np.random.default_rng(3), 0, 0
    truth = {"best": 0.0, "second": 0.1, "third": 0.8, "bad": 4.0, "worse": 6.0}
    for _ in range(200):
        values: dict[str, list[float]] = {name: [] for name in truth}
        while step := next_round(values, dict.fromkeys(truth, 1.0), 1e9, RULE):
            shared = random.normal(0, 5, step.stop - step.start)
            for name in step.recipes:
                found = truth[name] + shared + random.normal(0, 1, len(shared))
                found[random.random(len(found)) < 0.05] = np.nan
                values[name] += list(found)
        kept += len(values["best"]) == max(map(len, values.values()))
        runs += sum(map(len, values.values()))
    assert kept >= 0.95 * 200
    assert runs < 0.8 * 200 * len(truth) * RULE.most, "the bad ones were dropped early"


def test_a_recipe_that_is_surely_worse_goes_at_the_first_look() -> None:
    values = {"a": [1.0, 2.0, 3.1], "b": [1.1, 2.0, 3.0], "c": [9.0, 10.1, 11.0]}
    assert next_round(values, PRICES, 100.0, RULE) == Round(
        recipes=("a", "b"), start=3, stop=4, cost=2.0
    )


def test_a_control_neither_beats_a_candidate_nor_settles_the_choice() -> None:
    values = {"a": [1.0, 2.0, 3.1], "b": [1.1, 2.0, 3.0], "control": [-8.0, -7.0, -5.9]}
    costs = dict.fromkeys(values, 1.0)
    assert next_round(values, costs, 100.0, RULE) is None, "as a candidate it is the only one left"
    step = next_round(values, costs, 100.0, RULE, controls=["control"])
    assert step == Round(recipes=("a", "b", "control"), start=3, stop=4, cost=3.0)


def test_a_control_that_has_lost_gets_no_more_seeds() -> None:
    values = {"bad": [9.0, 10.1, 11.0], "a": [1.0, 2.0, 3.1], "b": [1.1, 2.0, 3.0]}
    step = next_round(values, dict.fromkeys(values, 1.0), 100.0, RULE, controls=["bad"])
    assert step == Round(recipes=("a", "b"), start=3, stop=4, cost=2.0)


def test_a_single_candidate_left_ends_it_whatever_the_controls_do() -> None:
    values = {"a": [1.0, 2.0, 3.1], "b": [9.1, 10.0, 11.0], "control": [1.0, 2.1, 3.0]}
    costs = dict.fromkeys(values, 1.0)
    assert next_round(values, costs, 100.0, RULE, controls=["control"]) is None


def test_nothing_is_judged_before_the_first_look() -> None:
    values = np.array([[0.0, 0.0], [9.0, 9.1], [5.0, 5.2]])
    assert survivors(values, RULE).all()


def test_a_recipe_whose_runs_failed_is_not_judged() -> None:
    nan = float("nan")
    values = np.array([[0.0, 0.1, 0.0], [9.0, 9.1, 9.0], [99.0, nan, nan], [nan, nan, nan]])
    np.testing.assert_array_equal(survivors(values, RULE), [True, False, True, True])


def test_no_noise_and_ties_have_an_answer() -> None:
    values = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    np.testing.assert_array_equal(survivors(values, RULE), [True, True, False])


def test_all_survivors_get_the_same_seeds_or_none_does() -> None:
    start: dict[str, list[float]] = {name: [] for name in PRICES}
    assert next_round(start, PRICES, 9.0, RULE) == Round(
        recipes=("a", "b", "c"), start=0, stop=3, cost=9.0
    )
    even = {"a": [1.0, 2.0, 3.1], "b": [1.1, 2.0, 3.0], "c": [1.0, 2.1, 3.0]}
    assert next_round(even, PRICES, 2.9, RULE) is None
    step = next_round(even, PRICES, 3.0, RULE)
    assert step is not None
    assert (step.start, step.stop) == (3, 4)


def test_it_ends_with_one_recipe_or_with_the_last_look() -> None:
    alone = {"a": [1.0, 2.0, 3.0], "b": [8.0, 9.1, 10.0]}
    assert next_round(alone, PRICES, 100.0, RULE) is None
    full = {name: list(np.sin(np.arange(6) + place)) for place, name in enumerate("abc")}
    assert next_round(full, PRICES, 100.0, RULE) is None


def test_looks_grow_by_a_quarter() -> None:
    assert Rule().looks() == (3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 20)
    assert Rule(first=3, most=3).looks() == (3,)


def test_prices_are_shares_of_the_tighter_budget() -> None:
    flops, seconds = {"a": 10.0, "b": 20.0}, {"a": 4.0, "b": 1.0}
    assert budget_shares(flops, seconds, budget_flops=100.0) == {"a": 0.1, "b": 0.2}
    both = budget_shares(flops, seconds, budget_flops=100.0, budget_seconds=8.0)
    assert both == {"a": 0.5, "b": 0.2}


def test_what_cannot_be_planned_is_an_input_error() -> None:
    start: dict[str, list[float]] = {name: [] for name in PRICES}
    with pytest.raises(InputError, match=r"a budget for 2 seeds of 3 recipes.*1\.1 times"):
        next_round(start, PRICES, 8.0, RULE)
    with pytest.raises(InputError, match="recipe 'c' with a price of None"):
        next_round(start, {"a": 1.0, "b": 1.0}, 8.0, RULE)
    with pytest.raises(InputError, match="1 recipes"):
        next_round({"a": []}, PRICES, 8.0, RULE)
    with pytest.raises(InputError, match="a budget of None FLOP"):
        budget_shares(PRICES, PRICES)
    with pytest.raises(InputError, match="first look after 1 seeds"):
        Rule(first=1)
