"""Paired comparisons over documents: known effects are found, and noise is not."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from curricle.analysis.documents import compare_documents
from curricle.core.errors import InputError


def make_tables(shift: float, seeds: int = 3, documents: int = 60) -> list[pd.DataFrame]:
    """Documents that differ by bits per byte, models that differ by `shift` of a bit."""
    draw = np.random.default_rng(0)
    sizes = np.ceil(np.exp(draw.normal(6, 0.7, 2 * documents)))
    level = draw.gamma(4, 0.3, 2 * documents)
    tables = []
    for seed in range(seeds):
        noise = np.random.default_rng(100 + seed).normal(0, 0.01, 2 * documents)
        tables.append(
            pd.DataFrame(
                {
                    "domain": ["prose", "code"] * documents,
                    "document": [str(index) for index in range(2 * documents)],
                    "tokens": (sizes / 4).astype(int),
                    "bytes": sizes.astype(int),
                    "nats": (level + shift + noise) * sizes * math.log(2),
                }
            )
        )
    return tables


def test_a_small_difference_shows_where_documents_are_paired() -> None:
    found = compare_documents({"base": make_tables(0.0), "new": make_tables(-0.05)}, "base")
    item = next(each for each in found if (each.arm, each.domain) == ("new", "average"))
    assert item.difference is not None
    assert item.difference.value == pytest.approx(-0.05, abs=1e-9)
    assert item.verdict == "better"
    assert item.documents == 120
    # Unpaired, the interval of either model is far wider than the difference.
    assert item.value.low is not None
    assert item.value.high is not None
    assert item.value.high - item.value.low > 0.2


def test_the_interval_is_the_t_interval_where_documents_are_equally_long() -> None:
    tables = {arm: make_tables(shift, seeds=1) for arm, shift in (("base", 0.0), ("new", 0.002))}
    draw = np.random.default_rng(9)
    change = draw.normal(0.002, 0.02, 120)
    for arm, change_D in (("base", np.zeros(120)), ("new", change)):
        tables[arm][0] = tables[arm][0].assign(
            domain="one", bytes=100, nats=(2 + change_D) * 100 * math.log(2)
        )
    found = compare_documents(tables, "base")
    assert [each.domain for each in found] == ["average", "average"]
    difference = found[1].difference
    assert difference is not None
    expected = stats.t.interval(0.95, 119, change.mean(), stats.sem(change))
    assert difference.low == pytest.approx(expected[0], abs=4e-4)
    assert difference.high == pytest.approx(expected[1], abs=4e-4)


def test_domains_hold_jointly_and_the_control_is_the_baseline() -> None:
    found = compare_documents({"base": make_tables(0.0), "new": make_tables(0.03)}, "base")
    assert [(each.arm, each.domain, each.verdict) for each in found] == [
        ("base", "average", "baseline"),
        ("base", "code", "baseline"),
        ("base", "prose", "baseline"),
        ("new", "average", "worse"),
        ("new", "code", "worse"),
        ("new", "prose", "worse"),
    ]
    assert found[3].confidence == 0.95
    assert found[4].confidence == 0.975
    average = found[3].value.value
    assert average == pytest.approx((found[4].value.value + found[5].value.value) / 2)


def test_equal_models_are_told_apart_about_as_often_as_claimed() -> None:
    wrong = 0
    for trial in range(60):
        draw = np.random.default_rng(trial)
        (table,) = make_tables(0.0, seeds=1, documents=15)
        other = table.assign(nats=table["nats"] * draw.normal(1, 0.02, len(table)))
        found = compare_documents({"a": [table], "b": [other]}, "a")
        wrong += found[3].verdict != "cannot tell"
    assert wrong <= 9  # 3 expected; more than 9 has a probability of 0.0005


def test_too_few_documents_give_no_verdict() -> None:
    few = {arm: [table.head(6) for table in make_tables(s)] for arm, s in (("a", 0.0), ("b", 1.0))}
    found = compare_documents(few, "a")
    assert found[3].verdict == "cannot tell"
    assert found[3].difference is not None
    assert found[3].difference.low is None


def test_documents_without_text_do_not_count() -> None:
    empty = pd.DataFrame(
        {"domain": ["code"], "document": ["empty"], "tokens": [0], "bytes": [0], "nats": [0.0]}
    )
    with_empty = [pd.concat([table, empty]) for table in make_tables(0.0)]
    found = compare_documents({"a": make_tables(0.0), "b": with_empty}, "a")
    assert found[3].difference is not None
    assert found[3].difference.value == 0.0


def test_other_documents_are_refused() -> None:
    base = make_tables(0.0)
    cut = [table.assign(bytes=table["bytes"] - 1) for table in make_tables(0.0)]
    twice = [pd.concat([table, table.head(1)]) for table in make_tables(0.0)]
    for wrong in (cut, twice, [table.head(50) for table in make_tables(0.0)]):
        with pytest.raises(InputError, match="the same documents"):
            compare_documents({"base": base, "new": wrong}, "base")
    with pytest.raises(InputError, match="control 'base' without documents"):
        compare_documents({"new": base}, "base")
