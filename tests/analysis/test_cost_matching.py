from math import log

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.comparison import Comparison, compare_arms
from curricle.analysis.cost_matching import compare_at_equal_cost

DRAW = np.random.default_rng(0)
SEEDS, DOMAINS = range(4), ("a", "b")


def table(**arms: float) -> pd.DataFrame:
    """Losses around the given levels; seeds and domains have levels of their own."""
    rows = [
        {
            "arm": arm.replace("_", "-"),
            "seed": seed,
            "domain": domain,
            "value": level + 0.1 * seed + (domain == "b") + DRAW.normal(0, 0.001),
        }
        for arm, level in arms.items()
        for seed in SEEDS
        for domain in DOMAINS
    ]
    return pd.DataFrame(rows)


def test_a_gain_that_more_tokens_would_buy_is_none() -> None:
    """Losses fall by 0.1 for each doubling; the curriculum gains what 1.5 times the tokens do."""
    losses = table(random=3.0, random_longer=2.9, mine=3.0 - 0.1 * log(1.5) / log(2))
    found = compare_at_equal_cost(
        losses,
        {"random": {"mine": {"operations": 0.5, "time": 0.0, "both": 3.0}}},
        longer="{}-longer",
        factor=2.0,
    )
    by_basis = {item.basis: item for item in found}
    assert by_basis["operations"].comparison.difference == pytest.approx(0.0, abs=2e-3)
    assert by_basis["time"].comparison.difference == pytest.approx(-0.0585, abs=2e-3)
    assert by_basis["time"].comparison.verdict == "better"
    assert by_basis["both"].comparison.difference == pytest.approx(0.2 - 0.0585, abs=4e-3)
    assert by_basis["both"].comparison.verdict == "worse"
    assert [item.is_extrapolated for item in found] == [False, False, True]


def test_without_a_charge_it_is_the_plain_comparison() -> None:
    losses = table(random=3.0, random_longer=2.9, mine=2.97)
    shares = {"random": {"mine": {"time": 0.0}}}
    (found,) = compare_at_equal_cost(losses, shares, longer="{}-longer", factor=2.0)
    longer = losses[losses["arm"] == "random-longer"]
    plain = compare_arms(losses.drop(longer.index), "random")[0]
    assert found.comparison.difference == pytest.approx(plain.difference)
    assert found.comparison.seed_differences == pytest.approx(plain.seed_differences)
    assert found.comparison.control_mean == pytest.approx(plain.control_mean)


def test_all_comparisons_hold_jointly() -> None:
    """Of families without any effect 95 % are all told so; each alone would be in 81 %."""
    random, held = np.random.default_rng(3), 0
    names = ("a", "b", "c", "d")
    shares = {"random": {name: {"operations": 0.3, "time": 0.1} for name in names}}
    for _ in range(400):
        seeds = random.normal(0, 1, (1, 3))
        values = seeds + random.normal(0, 1, (6, 3))
        arms = ("random", "random-longer", *names)
        rows = [
            (arm, seed, "a", values[place, seed])
            for place, arm in enumerate(arms)
            for seed in range(3)
        ]
        losses = pd.DataFrame(rows, columns=["arm", "seed", "domain", "value"])
        found = compare_at_equal_cost(losses, shares, longer="{}-longer", factor=1.5)
        assert len(found) == 8
        held += all(item.comparison.verdict == "cannot tell" for item in found)
    assert 0.92 < held / 400 < 0.98


def test_another_control_makes_the_family_larger() -> None:
    losses = table(random=3.0, random_longer=2.9, twin=2.98, twin_longer=2.9, mine=2.97)
    shares = {"random": {"mine": {"time": 0.1}, "twin": {"time": 0.0}}}
    one = compare_at_equal_cost(losses, shares, longer="{}-longer", factor=2.0)
    shares["twin"] = {"mine": {"time": 0.1}}
    both = compare_at_equal_cost(losses, shares, longer="{}-longer", factor=2.0)
    assert [item.comparison.control for item in both] == ["random", "random", "twin"]
    assert _width(both[0].comparison) > _width(one[0].comparison)


def test_a_control_without_a_longer_run_moves_along_anothers_line() -> None:
    """Random order gains 0.1 by twice the tokens; what costs a half more loses its gain by that."""
    losses = table(random=3.0, random_longer=2.9, own=2.95, given=2.95 - 0.1 * log(1.5) / log(2))
    shares = {"own": {"given": {"dearer": 0.5, "as dear": 0.0, "cheaper": -0.2}}}
    found = compare_at_equal_cost(
        losses, shares, longer="{}-longer", factor=2.0, lines={"own": "random"}
    )
    by_basis = {item.basis: item for item in found}
    assert by_basis["dearer"].comparison.difference == pytest.approx(0.0, abs=4e-3)
    assert by_basis["as dear"].comparison.difference == pytest.approx(-0.0585, abs=2e-3)
    assert by_basis["cheaper"].comparison.difference == pytest.approx(-0.0907, abs=2e-3)
    assert [item.is_extrapolated for item in found] == [False, False, True]
    assert {item.comparison.control for item in found} == {"own"}


def _width(found: Comparison) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


def test_without_the_longer_run_nothing_is_said() -> None:
    losses = table(random=3.0, mine=2.97)
    shares = {"random": {"mine": {"time": 0.1}, "missing": {"time": 0.1}}}
    assert compare_at_equal_cost(losses, shares, longer="{}-longer", factor=2.0) == ()
    losses = table(random=3.0, random_longer=2.9)
    assert compare_at_equal_cost(losses, shares, longer="{}-longer", factor=2.0) == ()
