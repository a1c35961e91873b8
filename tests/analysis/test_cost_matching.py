from math import log

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.comparison import compare_arms
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
        {"mine": {"operations": 0.5, "time": 0.0, "both": 3.0}},
        control="random",
        longer="random-longer",
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
    (found,) = compare_at_equal_cost(
        losses, {"mine": {"time": 0.0}}, control="random", longer="random-longer", factor=2.0
    )
    plain = compare_arms(losses[losses["arm"] != "random-longer"], "random")[0]
    assert found.comparison == plain


def test_without_the_longer_run_nothing_is_said() -> None:
    losses = table(random=3.0, mine=2.97)
    shares = {"mine": {"time": 0.1}, "missing": {"time": 0.1}}
    assert compare_at_equal_cost(losses, shares, control="random", longer="x", factor=2.0) == ()
    losses = table(random=3.0, random_longer=2.9)
    found = compare_at_equal_cost(
        losses, shares, control="random", longer="random-longer", factor=2.0
    )
    assert found == ()
