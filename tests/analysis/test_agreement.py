"""Agreement of rankings: scipy, brute force and definitions."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from curricle.analysis.agreement import agree, agreement_of
from curricle.analysis.ranking import rank
from curricle.core.errors import InputError


def _values(numbers: list[float]) -> dict[str, float]:
    return {f"r{i}": value for i, value in enumerate(numbers)}


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_scipys(ties: bool) -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(0, 1, (2, 12))
    if ties:
        x, y = x.round(), y.round()
    found = agree(_values(list(x)), _values(list(y)))
    assert found.spearman == pytest.approx(spearmanr(x, y).statistic)
    assert found.kendall == pytest.approx(kendalltau(x, y).statistic)
    expected = spearmanr(x, y, alternative="greater").pvalue
    assert found.spearman_p == pytest.approx(expected, abs=0.03)
    assert found.spearman_low is not None
    assert found.spearman_high is not None
    assert found.spearman_low < (found.spearman or 0) < found.spearman_high


def test_p_value_of_few_recipes_is_exact() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 3.0, 5.0, 4.0]
    observed = spearmanr(x, y).statistic
    as_large = [
        spearmanr(x, order).statistic >= observed - 1e-9 for order in itertools.permutations(y)
    ]
    found = agree(_values(x), _values(y))
    assert found.spearman_p == pytest.approx(np.mean(as_large))
    assert found.spearman_low is None
    assert "too few for an interval" in found.note


def test_three_recipes_are_too_few() -> None:
    found = agree(_values([1, 2, 3]), _values([1, 2, 3]))
    assert found.spearman_p == pytest.approx(1 / 6)
    assert "could be chance" in found.note


def test_decision_accuracy_regret_and_flips_by_hand() -> None:
    proxy = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 3.0}
    target = {"a": 0.5, "b": 0.2, "c": 0.1, "d": 0.9, "elsewhere": 0.0}
    found = agree(proxy, target)
    # ab and ac and bc flip, ad and bd agree, cd is a tie in the proxy.
    assert found.decision_accuracy == pytest.approx(2.5 / 6)
    assert found.regret == pytest.approx((0.4, 0.1, 0.0, 0.0))
    assert [(flip.first, flip.second) for flip in found.flips] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]


def test_sure_pairs_are_counted_apart() -> None:
    sure = frozenset({frozenset("ab"), frozenset("ac")})
    found = agree(
        {"a": 1.0, "b": 2.0, "c": 3.0},
        {"a": 2.0, "b": 1.0, "c": 3.0},
        sure_in_proxy=frozenset({frozenset("ab")}),
        sure_in_target=sure,
    )
    assert found.sure_decision_accuracy == 0.5
    assert found.sure_pairs == 2
    assert [(flip.first, flip.second) for flip in found.sure_flips] == [("a", "b")]


def test_all_ties_have_no_correlation() -> None:
    found = agree(_values([1, 1, 1]), _values([1, 2, 3]))
    assert found.spearman is None
    assert found.decision_accuracy == 0.5


def test_fewer_than_two_common_recipes_are_refused() -> None:
    with pytest.raises(InputError, match="1 recipes in both rankings"):
        agree({"a": 1.0, "b": float("nan")}, {"a": 1.0, "b": 2.0})


def test_controls_are_left_out_of_the_agreement_of_rankings() -> None:
    random = np.random.default_rng(0)
    roles = {"bad": "bad-control"}

    def ranking(effects: dict[str, float]) -> pd.DataFrame:
        rows = [
            (name, seed, effect + random.normal(0, 0.01))
            for name, effect in effects.items()
            for seed in range(3)
        ]
        return pd.DataFrame(rows, columns=["recipe", "seed", "value"])

    first = rank(ranking({"a": 0, "b": 1, "c": 2, "bad": 9}), "a", roles)
    second = rank(ranking({"a": 1, "b": 0, "c": 2, "bad": 9}), "a", roles)
    found = agreement_of(first, second)
    assert found.recipes == ("a", "b", "c")
    assert [flip.sure for flip in found.flips] == [True]
    assert len(agreement_of(first, second, controls=True).recipes) == 4
