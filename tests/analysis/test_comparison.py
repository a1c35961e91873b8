"""Curriculum arms against their control: scipy, coverage, and what is thin."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import studentized_range, t, ttest_rel

from curricle.analysis.comparison import Comparison, compare_arms
from curricle.core.errors import InputError
from curricle.core.plain import from_plain, to_plain


def _table(values: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(arm, seed, value) for arm, row in values.items() for seed, value in enumerate(row)]
    return pd.DataFrame(rows, columns=["arm", "seed", "value"])


def _simulated(random: np.random.Generator, shifts: list[float], seeds: int = 3) -> pd.DataFrame:
    shared = random.normal(0, 5, seeds)
    values = {
        f"arm{place}" if place else "random": list(shift + shared + random.normal(0, 1, seeds))
        for place, shift in enumerate(shifts)
    }
    return _table(values)


def test_one_arm_is_a_paired_t_test() -> None:
    values = {"random": [1.0, 1.5, 2.2, 1.9], "sorted": [0.8, 1.6, 1.7, 1.5]}
    expected = ttest_rel(values["sorted"], values["random"])
    low, high = expected.confidence_interval(0.95)
    (found,) = compare_arms(_table(values), "random")
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-3)
    assert found.seed_differences == pytest.approx((-0.2, 0.1, -0.5, -0.4))
    assert found.domain == "average"


def test_intervals_hold_jointly_over_arms() -> None:
    random = np.random.default_rng(8)
    shifts = [0.0, 0.5, -1.0, 0.0]
    held = 0
    for _ in range(1000):
        found = compare_arms(_simulated(random, shifts), "random")
        assert all(item.low is not None and item.high is not None for item in found)
        held += all(
            (item.low or 0) <= shift <= (item.high or 0)
            for item, shift in zip(found, shifts[1:], strict=True)
        )
    print(f"{held} of 1000 families held")
    assert 930 <= held <= 970


def test_all_pairs_of_arms_come_to_tukeys_test() -> None:
    table = _simulated(np.random.default_rng(1), [0, 1, 2], seeds=4)
    found = compare_arms(table, "random", also=[("arm1", "arm2")])
    assert len(found) == 3
    wide = table.pivot_table(index="arm", columns="seed", values="value").to_numpy()
    residual = wide - wide.mean(axis=1, keepdims=True) - wide.mean(axis=0) + wide.mean()
    margin = studentized_range.ppf(0.95, 3, 6) * np.sqrt((residual**2).sum() / 6 / 4)
    assert ((found[0].high or 0) - (found[0].low or 0)) / 2 == pytest.approx(margin, rel=0.01)


def test_direction_decides_the_verdict() -> None:
    table = _table({"random": [1.0, 2.0, 3.0], "sorted": [2.0, 3.1, 4.0]})
    assert compare_arms(table, "random")[0].verdict == "worse"
    assert compare_arms(table, "random", lower_is_better=False)[0].verdict == "better"


def test_domains_hold_jointly_and_follow_the_average() -> None:
    parts = [
        _simulated(np.random.default_rng(seed), [0, 1]).assign(domain=name)
        for seed, name in enumerate(("x", "y"))
    ]
    found = compare_arms(pd.concat(parts, ignore_index=True), "random")
    assert [item.domain for item in found] == ["average", "x", "y"]
    assert [item.confidence for item in found] == pytest.approx([0.95, 0.975, 0.975])


def test_domains_and_schedules_are_adjusted_for_by_hand() -> None:
    """Two arms, two domains, three schedules: six paired t-tests, of which each is one."""
    random = np.random.default_rng(2)
    tables = {name: _simulated(random, [0, 2], seeds=4) for name in ("x", "y")}
    joined = pd.concat([table.assign(domain=name) for name, table in tables.items()])
    found = compare_arms(joined, "random", families=3)
    for item in found[1:]:
        wide = tables[item.domain].pivot_table(index="seed", columns="arm", values="value")
        plain = ttest_rel(wide["arm1"], wide["random"])
        low, high = plain.confidence_interval(1 - 0.05 / 6)
        assert (item.low, item.high) == pytest.approx((low, high), rel=1e-6)
        assert item.p_value == pytest.approx(min(6 * plain.pvalue, 1), rel=1e-6)
        assert item.confidence == pytest.approx(1 - 0.05 / 6)
        assert item.joint_confidence == 0.95
    assert found[0].confidence == pytest.approx(1 - 0.05 / 3)
    alone = compare_arms(joined, "random")
    assert found[0].p_value == pytest.approx(3 * (alone[0].p_value or 0))


def test_seeds_to_settle_are_those_of_the_adjusted_level() -> None:
    table = _table({"random": [1.0, 3.0, 2.0], "arm1": [1.2, 4.0, 2.9]})
    (one,), (five,) = (compare_arms(table, "random", families=n) for n in (1, 5))
    assert one.verdict == five.verdict == "cannot tell"
    wide = table.pivot_table(index="seed", columns="arm", values="value")
    spread = (wide["arm1"] - wide["random"]).std(ddof=1)
    for item, tail in ((one, 0.025), (five, 0.005)):
        needed = next(n for n in range(2, 101) if t.ppf(1 - tail, n - 1) * spread / n**0.5 < 0.7)
        assert item.seeds_to_settle == max(needed, 4)
    assert (five.seeds_to_settle or 0) > (one.seeds_to_settle or 0)


@pytest.mark.parametrize("is_wild", [False, True])
def test_p_values_say_what_verdicts_say(is_wild: bool) -> None:
    random, pooled, surely = np.random.default_rng(9), set(), 0
    for _ in range(60):
        parts = []
        for name in ("x", "y", "z"):
            table = _simulated(random, [0, 1, 2.5, 4], seeds=5)
            if is_wild:
                wild = {"wild": list(random.normal(0, 90, 5))}
                table = pd.concat([table, _table(wild)], ignore_index=True)
                table = table.drop(index=random.integers(len(table)))
            parts.append(table.assign(domain=name))
        for item in compare_arms(pd.concat(parts), "random", families=2):
            assert item.p_value is not None
            assert item.p_value <= 1
            assert (item.p_value < 1 - item.joint_confidence) == (item.verdict != "cannot tell")
            pooled.add(item.pooled)
            surely += item.verdict != "cannot tell"
    assert pooled >= {not is_wild}
    assert surely > 60


def test_a_wild_arm_leaves_the_others_their_precision() -> None:
    random = np.random.default_rng(6)
    quiet = {f"arm{k}": list(k + random.normal(0, 0.01, 6)) for k in range(3)}
    wild = {
        "random": list(random.normal(0, 0.01, 6)),
        **quiet,
        "wild": list(random.normal(0, 50, 6)),
    }
    found = {item.arm: item for item in compare_arms(_table(wild), "random")}
    assert not found["arm1"].pooled
    assert found["arm1"].verdict == "worse"
    assert found["wild"].verdict == "cannot tell"


def test_an_open_comparison_says_how_many_seeds_would_settle_it() -> None:
    table = _simulated(np.random.default_rng(4), [0.0, 0.8])
    (found,) = compare_arms(table, "random")
    assert found.verdict == "cannot tell"
    assert found.seeds_to_settle is not None
    assert found.seeds_to_settle > 3


def test_one_seed_and_identical_arms_have_defined_answers() -> None:
    (single,) = compare_arms(_table({"random": [1.0], "sorted": [2.0]}), "random")
    assert (single.low, single.p_value, single.verdict) == (None, None, "cannot tell")
    (same,) = compare_arms(_table({"random": [1.0, 2.0], "sorted": [1.0, 2.0]}), "random")
    assert (same.difference, same.verdict, same.seeds_to_settle) == (0.0, "cannot tell", None)


def test_a_missing_run_leaves_the_rest() -> None:
    nan = float("nan")
    values = {"random": [1.0, 2.0, 3.0], "sorted": [1.1, nan, 3.3], "other": [0.9, 2.1, 3.2]}
    found = compare_arms(_table(values), "random")
    assert found[0].seed_differences[1] is None
    assert found[0].low is not None


def test_comparisons_survive_json() -> None:
    found = compare_arms(_simulated(np.random.default_rng(4), [0.0, 0.8]), "random")
    assert from_plain(Comparison, to_plain(found[0])) == found[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sorted": [1.0, 2.0]}, "control 'random' without a value"),
        ({"random": [float("nan")], "sorted": [1.0]}, "control 'random' without a value"),
        ({"random": [1.0, 2.0]}, "one arm with values"),
    ],
)
def test_what_cannot_be_compared_is_an_input_error(
    values: dict[str, list[float]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compare_arms(_table(values), "random")
