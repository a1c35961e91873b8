"""Ranking end to end: a table worked by hand, and everything a table can be short of."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import studentized_range

from curricle.analysis.cautions import movement_cautions
from curricle.analysis.ranking import Ranking, rank, rank_domains, representatives
from curricle.core.errors import InputError
from curricle.core.plain import from_plain, to_plain

Values = dict[str, list[float]]
NAN = float("nan")
# Recipe means 1, 2, 6 and seed means 2, 3, 4; residuals 0.5, -0.5 and 0 in every recipe.
BY_HAND: Values = {"a": [0.5, 0.5, 2.0], "b": [1.0, 2.5, 2.5], "c": [4.5, 6.0, 7.5]}


def _table(values: Values) -> pd.DataFrame:
    rows = [(name, seed, value) for name, row in values.items() for seed, value in enumerate(row)]
    return pd.DataFrame(rows, columns=["recipe", "seed", "value"])


def _names(ranking: Ranking) -> list[str]:
    return [item.recipe for item in ranking.recipes]


def _cautions(ranking: Ranking) -> set[str]:
    return {caution.name for caution in ranking.cautions}


def test_a_table_worked_by_hand() -> None:
    ranking = rank(_table(BY_HAND), "b")
    # Residuals: a 0.5, -0.5, 0; b 0, 0.5, -0.5; c -0.5, 0, 0.5. Sum of squares 1.5, 4 degrees of
    # freedom.
    assert ranking.degrees_of_freedom == 4
    assert ranking.standard_deviation == pytest.approx(np.sqrt(0.375))
    assert [item.mean for item in ranking.recipes] == pytest.approx([1.0, 2.0, 6.0])
    margin = studentized_range.ppf(0.95, 3, 4) * np.sqrt(0.375 / 3)
    best, base, last = ranking.recipes
    assert (best.difference, base.difference, last.difference) == pytest.approx((-1.0, 0.0, 4.0))
    assert (best.difference_low, best.difference_high) == pytest.approx((-1 - margin, -1 + margin))
    assert [item.verdict for item in ranking.recipes] == ["cannot tell", "baseline", "worse"]
    assert [(item.best_rank, item.worst_rank) for item in ranking.recipes] == [
        (1, 2),
        (1, 2),
        (3, 3),
    ]
    assert (base.high or 0) - base.mean == pytest.approx(margin / 2)
    assert [item.recipe for item in ranking.leaders] == ["a", "b"]


def test_order_of_rows_changes_nothing() -> None:
    table = _table(BY_HAND)
    shuffled = table.sample(frac=1, random_state=1)
    one, other = rank(table, "a"), rank(shuffled, "a")
    assert [item.recipe for item in one.recipes] == [item.recipe for item in other.recipes]
    assert one.standard_deviation == pytest.approx(other.standard_deviation or 0)


def test_a_ranking_survives_json() -> None:
    roles = {"c": "bad-control", "d": "candidate"}
    ranking = rank(_table(BY_HAND), "a", roles)
    text = json.dumps(to_plain(ranking))
    assert from_plain(Ranking, json.loads(text)) == ranking


def test_domains_are_averaged_and_a_missing_one_makes_a_run_missing() -> None:
    values = {"a": [1.0, 2.0, 3.0], "b": [2.0, 3.5, 4.0]}
    parts = [_table(values).assign(domain=name) for name in ("x", "y")]
    parts[1]["value"] += 10
    noise = _table(values).assign(domain="average", value=99.0)
    table = pd.concat([*parts, noise], ignore_index=True)
    assert [item.mean for item in rank(table, "a").recipes] == pytest.approx([7.0, 8.0 + 1 / 6])
    ranking = rank(table.drop(index=3), "a")
    assert ranking["b"].seed_values[0] is None
    assert "missing-runs" in _cautions(ranking)


def test_rankings_by_domain_hold_jointly() -> None:
    parts = [_table(BY_HAND).assign(domain=name) for name in ("x", "y")]
    found = rank_domains(pd.concat(parts, ignore_index=True), "a")
    assert list(found) == ["x", "y"]
    assert found["x"].confidence == pytest.approx(0.975)


def test_one_seed_ranks_without_verdicts() -> None:
    ranking = rank(_table({"a": [1.0], "b": [2.0], "c": [3.0]}), "b")
    assert _names(ranking) == ["a", "b", "c"]
    assert {item.verdict for item in ranking.recipes} == {"cannot tell", "baseline"}
    assert all(item.low is None and item.probability_best is None for item in ranking.recipes)
    assert all((item.best_rank, item.worst_rank) == (1, 3) for item in ranking.recipes)
    assert {"no-error-estimate", "too-few-seeds"} <= _cautions(ranking)


def test_ties_share_a_rank_and_stand_by_name() -> None:
    values = {"b": [1.0, 2.0, 3.0], "a": [2.0, 3.0, 1.0], "c": [4.0, 5.0, 6.5]}
    ranking = rank(_table(values), "c")
    assert [(item.recipe, item.rank) for item in ranking.recipes] == [("a", 1), ("b", 1), ("c", 3)]
    pair = ranking.pairs[0]
    assert (pair.difference, pair.p_value, pair.verdict) == (0.0, 1.0, "cannot tell")
    assert pair.seeds_to_settle is None


def test_zero_variance_is_decided_and_told() -> None:
    values = {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0], "c": [2.0, 3.0, 4.0]}
    ranking = rank(_table(values), "a")
    assert ranking.standard_deviation == 0.0
    assert ranking["c"].verdict == "worse"
    assert ranking["b"].verdict == "cannot tell"
    assert ranking["a"].probability_best == 0.5
    assert "no-noise" in _cautions(ranking)


def test_missing_and_infinite_values_unbalance_the_table_only() -> None:
    values = {**BY_HAND, "a": [0.5, NAN, 2.0], "c": [5.0, 6.0, float("inf")]}
    ranking = rank(_table(values), "b")
    assert ranking["a"].seed_values == (0.5, None, 2.0)
    assert ranking.degrees_of_freedom == 7 - 5
    assert "missing-runs" in _cautions(ranking)


def test_a_recipe_without_values_is_left_out_and_named() -> None:
    values = {**BY_HAND, "d": [NAN, NAN, NAN]}
    ranking = rank(_table(values), "a", {"e": "candidate"})
    assert ranking.missing == ("d", "e")
    assert "d" not in ranking
    assert "no-values" in _cautions(ranking)


def test_seeds_that_are_not_shared() -> None:
    table = _table(BY_HAND).assign(seed=range(9))
    ranking = rank(table, "a")
    assert ranking.model == "recipe"
    assert ranking.degrees_of_freedom == 6
    assert "unpaired-seeds" in _cautions(ranking)


@pytest.mark.parametrize(
    ("table", "baseline", "options", "message"),
    [
        (_table(BY_HAND), "z", {}, "baseline 'z' without a value"),
        (_table({"a": [NAN, NAN], "b": [1.0, 2.0]}), "a", {}, "baseline 'a' without a value"),
        (_table({"a": [1.0, 2.0]}), "a", {}, "one recipe with values"),
        (_table(BY_HAND), "a", {"order_only": ["a"]}, "differs from another recipe only in order"),
        (_table(BY_HAND), "a", {"confidence": 1.0}, "confidence 1.0"),
        (_table(BY_HAND), "a", {"roles": dict.fromkeys("abc", "bad-control")}, "controls alone"),
        (_table(BY_HAND).drop(columns="seed"), "a", {}, "a table without seed"),
        (pd.concat([_table(BY_HAND)] * 2), "a", {}, "two values for recipe 'a', seed"),
        (_table(BY_HAND).assign(value="high"), "a", {}, "column value"),
    ],
)
def test_what_cannot_be_ranked_is_an_input_error(
    table: pd.DataFrame, baseline: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rank(table, baseline, **options)  # type: ignore[arg-type]


def _noisy(effects: dict[str, float], noise: float, seeds: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(2)
    shared = random.normal(0, 1, seeds)
    values = {
        name: list(5 + effect + shared + random.normal(0, noise, seeds))
        for name, effect in effects.items()
    }
    return _table(values)


def test_order_only_recipes_are_set_aside_and_flagged() -> None:
    table = _noisy({"a": 0, "b": 1, "sorted": -1}, 0.1)
    ranking = rank(table, "a", order_only=["sorted"])
    assert "sorted" not in ranking
    assert ranking.order_only == ("sorted",)
    assert "order-only" in _cautions(ranking)


def test_a_bad_control_that_does_not_lose_is_flagged() -> None:
    roles = {"bad": "bad-control"}
    fine = rank(_noisy({"a": 0, "b": 0.1, "c": 0.2, "bad": 9}, 0.05), "a", roles)
    unsure = rank(_noisy({"a": 0, "b": 0.1, "c": 0.2, "bad": 0.3}, 1.0), "a", roles)
    middle = rank(_noisy({"a": 0, "b": 0.1, "c": 9, "bad": 3}, 0.05), "a", roles)
    assert "bad-control-not-worst" not in _cautions(fine)
    assert "bad-control-not-worst" in _cautions(unsure)
    assert "bad-control-not-worst" in _cautions(middle)
    assert fine["bad"].verdict == "worse"
    assert fine["bad"].probability_best is None


def test_seeds_that_disagree_are_flagged() -> None:
    values = {
        "a": [1.0, 4.0, 2.0],
        "b": [2.0, 3.0, 4.0],
        "c": [3.0, 2.0, 1.0],
        "d": [4.0, 1.0, 3.0],
    }
    ranking = rank(_table(values), "a")
    expected = (
        pd.DataFrame(values).T.corr(method="spearman").to_numpy()[np.triu_indices(3, 1)].mean()
    )
    assert ranking.seed_agreement == pytest.approx(expected)
    assert "seeds-disagree" in _cautions(ranking)
    assert "seeds-disagree" not in _cautions(rank(_noisy({"a": 0, "b": 1, "c": 2}, 0.01), "a"))


def test_proxies_that_have_not_moved_are_flagged() -> None:
    table = _table({"a": [8.29, 8.31], "b": [8.10, 8.12]})
    found = movement_cautions(table, {0: 8.3, 1: 8.32}, ["a", "b"])
    assert [(item.name, item.recipes) for item in found] == [("not-moved", ("a",))]
    assert movement_cautions(table, {0: 9.0, 1: 9.0}, ["a", "b"]) == ()


def test_little_movement_is_enough_where_seeds_agree() -> None:
    agreeing = _table({"a": [8.2990, 8.3190], "b": [8.2991, 8.3192], "c": [8.2993, 8.3193]})
    assert movement_cautions(agreeing, {0: 8.3, 1: 8.32}, list("abc")) == ()
    noisy = _table({"a": [8.2990, 8.3193], "b": [8.2991, 8.3192], "c": [8.2993, 8.3190]})
    (found,) = movement_cautions(noisy, {0: 8.3, 1: 8.32}, list("abc"))
    assert found.recipes == ("a", "b", "c")


def test_controls_do_not_make_seeds_agree_on_what_has_not_moved() -> None:
    values = {"a": [8.2990, 8.3193], "b": [8.2991, 8.3192], "c": [8.2993, 8.3190]}
    controls = {f"bad{place}": [8.31 + place, 8.33 + place] for place in range(4)}
    (found,) = movement_cautions(_table(values | controls), {0: 8.3, 1: 8.32}, list("abc"))
    assert found.recipes == ("a", "b", "c"), "a bad control's loss need not fall"


def test_representatives_are_best_middle_and_bad_control() -> None:
    effects = {name: float(place) for place, name in enumerate("abcde")} | {"bad": 9.0}
    ranking = rank(_noisy(effects, 0.01), "a", {"bad": "bad-control"})
    assert representatives(ranking, 3) == ("a", "c", "bad")
    assert representatives(ranking, 2) == ("a", "bad")
    assert representatives(ranking, 99) == ("a", "b", "c", "d", "e", "bad")
    alone = rank(_noisy(dict.fromkeys("ab", 0.0), 0.1), "a")
    assert set(representatives(alone, 3)) == {"a", "b"}
    with pytest.raises(InputError, match="1 recipes to confirm"):
        representatives(ranking, 1)


def test_two_thousand_runs_are_ranked_fast_enough_to_wait_for() -> None:
    random = np.random.default_rng(0)
    values = {f"r{i}": list(random.normal(0, 1, 10)) for i in range(200)}
    ranking = rank(_table(values), "r0")
    assert len(ranking.pairs) == 200 * 199 // 2
    assert sum(item.probability_best or 0 for item in ranking.recipes) == pytest.approx(1.0)
