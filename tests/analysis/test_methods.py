"""Methods against a target: a table by hand, the ceiling by simulation, corners."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from curricle.analysis.cautions import MINIMUM_RHO
from curricle.analysis.methods import (
    Methods,
    compare_methods,
    judge_methods,
    method_agreement,
)
from curricle.analysis.methods_text import at_equal_flops, methods_text
from curricle.analysis.ranked import Ranking
from curricle.analysis.ranking import rank
from curricle.analysis.reliability import ceiling_of
from curricle.core.plain import from_plain, to_plain


def _ranking(means: list[float], noise: float = 0.0, seeds: int = 3, seed: int = 0) -> Ranking:
    random = np.random.default_rng(seed)
    rows = [
        (f"r{place}", s, mean + 10 * s + random.normal(0, noise))
        for place, mean in enumerate(means)
        for s in range(seeds)
    ]
    return rank(pd.DataFrame(rows, columns=["recipe", "seed", "value"]), "r0")


def test_a_table_worked_by_hand() -> None:
    """Without noise every interval over the target's noise is a point."""
    proxy, target = _ranking([1.0, 2.0, 3.0, 4.0]), _ranking([2.0, 1.0, 3.0, 5.0])
    found = method_agreement("tiny", proxy, target, flops=6e9)
    assert found is not None
    assert found.spearman is not None
    assert found.true_spearman is not None
    # One swap of neighbours among four: rho = 1 - 6 * 2 / 60; five of six pairs agree.
    assert found.spearman.value == pytest.approx(0.8)
    assert (found.true_spearman.low, found.true_spearman.high) == pytest.approx((0.8, 0.8))
    assert found.decision_accuracy.value == pytest.approx(5 / 6)
    assert found.true_decision_accuracy.high == pytest.approx(5 / 6)
    assert {k: item.value for k, item in found.regret.items()} == pytest.approx(
        {"1": 1.0, "2": 0.0, "3": 0.0}
    )
    assert [(flip.first, flip.second) for flip in found.agreement.flips] == [("r0", "r1")]


def test_correlations_are_scipys_and_have_intervals_over_recipes() -> None:
    random = np.random.default_rng(4)
    truth = random.normal(0, 1, 15)
    x, y = truth + random.normal(0, 0.5, 15), truth
    found = method_agreement("m", _ranking(list(x)), _ranking(list(y), 0.1))
    assert found is not None
    assert found.spearman is not None
    assert found.kendall is not None
    means = [_ranking(list(y), 0.1)[f"r{place}"].mean for place in range(15)]
    assert found.spearman.value == pytest.approx(spearmanr(x, means).statistic)
    assert found.kendall.value == pytest.approx(kendalltau(x, means).statistic)
    assert found.spearman.low is not None
    assert found.decision_accuracy.low == pytest.approx((1 + (found.kendall.low or 0)) / 2)


def test_dimensions_are_judged_apart() -> None:
    proxy, target = _ranking([1, 2, 3, 4, 5]), _ranking([2, 1, 3, 4, 5])
    dimensions = {"r0": "mix", "r1": "mix", "r2": "dedup", "r3": "dedup", "r4": "alone"}
    methods = judge_methods(
        {"tiny": {"average": proxy}}, {"average": target}, dimensions=dimensions
    )
    rho = {item.group: item.spearman and item.spearman.value for item in methods.agreements}
    assert rho == {"all recipes": pytest.approx(0.9), "mix": -1.0, "dedup": 1.0}


def test_a_cheaper_method_is_taken_to_the_first_ones_cost() -> None:
    """Spearman-Brown by hand: two seeds at a quarter of the cost, so eight for all of it."""
    truth = list(np.linspace(0, 3, 12))
    target, cheap = _ranking(truth), _ranking(truth, 1.5, seeds=2, seed=1)
    proxies = {"whole": {"average": target}, "cheap": {"average": cheap}}
    flops = {"whole": 100.0, "cheap": 25.0}
    methods = judge_methods(proxies, {"average": target}, flops=flops)
    whole, found = methods.of("average")
    assert whole.at_equal_flops is None
    assert found.spearman is not None
    assert cheap.standard_deviation is not None
    noise = cheap.standard_deviation**2
    spread = np.var([item.mean for item in cheap.recipes], ddof=1) - noise / 2
    shares = [spread / (spread + noise / seeds) for seeds in (2, 8)]
    pearson = 2 * math.sin(math.pi * found.spearman.value / 6) * math.sqrt(shares[1] / shares[0])
    expected = 6 / math.pi * math.asin(pearson / 2)
    assert found.spearman.value < expected < 1
    assert found.at_equal_flops == pytest.approx(expected)
    text = " ".join(at_equal_flops(methods.of("average")))
    assert text.startswith("At the FLOPs of whole")
    assert f"cheap {expected:.2f}." in text


def test_the_first_method_is_compared_with_every_other() -> None:
    random = np.random.default_rng(5)
    truth = random.normal(0, 1, 20)
    proxies = {
        "good": _ranking(list(truth + random.normal(0, 0.05, 20))),
        "blind": _ranking(list(random.normal(0, 1, 20))),
        "same": _ranking(list(truth + random.normal(0, 0.05, 20))),
    }
    target = _ranking(list(truth), 0.05)
    blind, same = compare_methods(proxies, target)
    assert (blind.first, blind.second, blind.verdict) == ("good", "blind", "better")
    assert same.verdict == "cannot tell"
    assert blind.confidence == pytest.approx(0.975)
    assert blind.true_decision_accuracy.low is not None
    assert blind.true_decision_accuracy.low > 0
    assert compare_methods({"alone": proxies["good"]}, target) == ()


def test_a_low_rho_is_cautioned_and_blamed_on_the_target_where_it_is_to_blame() -> None:
    random = np.random.default_rng(6)
    proxy = {"average": _ranking(list(random.normal(0, 1, 12)))}
    steady = {"average": _ranking(list(random.normal(0, 1, 12)), 0.01)}
    noisy = {"average": _ranking(list(random.normal(0, 0.2, 12)), 1.0)}
    (caution,) = judge_methods({"blind": proxy}, steady).cautions
    assert caution.name == "low-agreement"
    assert "don't choose a recipe by it" in caution.text
    (caution,) = judge_methods({"blind": proxy}, noisy).cautions
    assert "give the target more seeds" in caution.text
    assert judge_methods({"itself": steady}, steady).cautions == ()


def test_noise_of_the_target_is_no_excuse_for_a_method_that_ranks_the_other_way() -> None:
    truth = np.random.default_rng(8).normal(0, 1, 23)
    target = _ranking(list(truth), 3.5)
    ceiling = ceiling_of(target)
    assert ceiling is not None
    assert ceiling.spearman.value < MINIMUM_RHO
    (caution,) = judge_methods(
        {"opposed": {"average": _ranking(list(-truth))}}, {"average": target}
    ).cautions
    assert "the rankings disagree" in caution.text
    assert "seeds" not in caution.text


@pytest.mark.parametrize("noise", [0.5, 1.5])
def test_the_ceiling_is_what_the_truth_itself_would_reach(noise: float) -> None:
    random = np.random.default_rng(7)
    truth = random.normal(0, 1, 400)
    target = _ranking(list(truth), noise)
    found = ceiling_of(target)
    assert found is not None
    measured = [target[f"r{place}"].mean for place in range(400)]
    assert found.spearman.value == pytest.approx(spearmanr(truth, measured).statistic, abs=0.03)
    assert found.reliability.value == pytest.approx(1 / (1 + noise**2 / 3), abs=0.05)


def test_each_dimension_has_a_ceiling_of_its_own() -> None:
    """By hand: 8 recipes far apart, 8 nearly equal, and one noise pooled over all of them."""
    truth = [*np.linspace(0, 3, 8), *np.linspace(0, 0.3, 8)]
    target = _ranking(truth, 0.5, seeds=3, seed=2)
    dimensions = {f"r{place}": "mix" if place < 8 else "dedup" for place in range(16)}
    proxies = {"tiny": {"average": _ranking(truth)}}
    methods = judge_methods(proxies, {"average": target}, dimensions=dimensions)
    assert methods.ceiling_at("average") == methods.ceiling
    assert target.standard_deviation is not None
    noise = target.standard_deviation**2 / 3
    shares: dict[str, float] = {}
    for group, names in (("mix", range(8)), ("dedup", range(8, 16))):
        between = float(np.var([target[f"r{place}"].mean for place in names], ddof=1))
        shares[group] = max(between - noise, 0) / between
        found = methods.ceiling_at("average", group)
        assert found is not None
        assert found.reliability.value == pytest.approx(shares[group])
        assert found.spearman.value == pytest.approx(
            6 / math.pi * math.asin(math.sqrt(shares[group]) / 2)
        )
    assert shares["mix"] > 0.9 > 0.7 > shares["dedup"]
    text = methods_text(methods, methods.of("average"), target)
    assert "Within dimensions: mix 0.9" in text
    assert max(map(len, text.splitlines())) <= 100


def test_one_target_seed_leaves_no_ceiling_and_no_interval_over_noise() -> None:
    target = _ranking([1, 2, 3, 4], seeds=1)
    assert ceiling_of(target) is None
    found = method_agreement("m", _ranking([1, 2, 4, 3]), target)
    assert found is not None
    assert found.true_spearman is not None
    assert found.true_spearman.low is None
    assert found.regret["1"].low is None


def test_ties_have_no_correlation_but_half_the_pairs() -> None:
    found = method_agreement("m", _ranking([1, 1, 1, 1]), _ranking([1, 2, 3, 4], 0.01))
    assert found is not None
    assert found.spearman is None
    assert found.true_spearman is None
    assert found.decision_accuracy.value == 0.5


def test_two_recipes_are_enough_and_one_is_not() -> None:
    found = method_agreement("m", _ranking([1, 2]), _ranking([1, 2]))
    assert found is not None
    assert found.agreement.recipes == ("r0", "r1")
    assert set(found.regret) == {"1"}
    assert (
        method_agreement("m", _ranking([1, 2]), _ranking([1, 2]), within=frozenset({"r0"})) is None
    )


def test_methods_survive_json() -> None:
    proxy, target = _ranking([1, 2, 3, 4], 0.1), _ranking([2, 1, 3, 4], 0.1)
    methods = judge_methods({"m": {"average": proxy}}, {"average": target}, flops={"m": 1e9})
    assert from_plain(Methods, json.loads(json.dumps(to_plain(methods)))) == methods
    assert not any(math.isnan(item.decision_accuracy.value) for item in methods.agreements)
