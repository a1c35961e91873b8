import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from curricle.analysis.band import Start, usable_band
from curricle.analysis.content import ReportContent
from curricle.analysis.report import render_report
from curricle.analysis.summary import render_summary
from curricle.core.errors import InputError
from curricle.core.plain import from_plain, to_plain

RATES = (1e-7, 1e-5, 1e-4, 1e-3, 1e-2)
START = Start(
    rates=RATES,
    still_fp32=(0.9, 0.01, 0.0, 0.0, 0.0),
    still_bf16=(1.0, 0.99, 0.8, 0.2, 0.0),
    largest_eigenvalue=20.0,
    preconditioned_eigenvalue=400.0,
)
RECIPES = ("a", "b", "c", "d", "e")


def runs(noise: dict[float, float]) -> pd.DataFrame:
    """Losses that fall with the rate up to 1e-3; recipes in order, but for noise."""
    random = np.random.default_rng(0)
    levels = dict(zip(RATES, (8.3, 8.2, 7.5, 5.0, 6.0), strict=True))
    rows = [
        {"learning_rate": rate, "recipe": name, "seed": seed, "value": value}
        for rate in RATES
        for place, name in enumerate(RECIPES)
        for seed in range(3)
        for value in [levels[rate] + 0.01 * place + noise[rate] * random.normal()]
    ]
    return pd.DataFrame(rows)


NOISE = {1e-7: 0.1, 1e-5: 0.008, 1e-4: 0.0001, 1e-3: 0.02, 1e-2: 0.3}


def test_the_most_stable_rate_is_taken_from_below_the_tuned_one() -> None:
    band = usable_band(runs({**NOISE, 1e-5: 0.05}), START)
    assert band.standard_rate == 1e-3
    assert not band.standard_at_edge
    assert band.caution is None
    assert (band.low, band.high) == pytest.approx((1e-5, 1e-4))
    assert band.recommended == 1e-4
    assert band[1e-4].seed_agreement == 1.0
    assert (band.curvature_bound, band.preconditioned_bound) == (1 / 20, 1 / 400)
    assert from_plain(type(band), to_plain(band)) == band


def test_of_equally_stable_rates_the_smallest_above_the_floor_is_taken() -> None:
    still = dict.fromkeys(RATES, 1e-6)
    assert usable_band(runs(still), START).recommended == 1e-5
    awake = Start(rates=RATES, still_fp32=(0.0,) * 5, still_bf16=START.still_bf16)
    assert usable_band(runs(still), awake).recommended == 1e-7


def test_a_rate_that_ranks_otherwise_than_its_neighbours_is_not_taken() -> None:
    table = runs({**NOISE, 1e-7: 0.002, 1e-5: 0.003, 1e-3: 0.003})
    at = table["learning_rate"] == 1e-4
    table.loc[at, "value"] = 15.0 - table.loc[at, "value"]  # its seeds agree on the reverse
    awake = Start(rates=RATES, still_fp32=(0.0,) * 5, still_bf16=START.still_bf16)
    band = usable_band(table, awake)
    assert band[1e-4].seed_agreement == 1.0
    assert band.recommended == 1e-7


def test_neighbours_are_compared_as_scipy_does() -> None:
    table = runs(NOISE)
    band = usable_band(table, START)
    means = table.pivot_table("value", "recipe", "learning_rate").loc[list(RECIPES)]
    for rate, following in itertools.pairwise(RATES):
        first, second = means[rate].to_numpy(), means[following].to_numpy()
        assert band[rate].next_agreement == pytest.approx(spearmanr(first, second).statistic)
        flips = sum(
            (first[i] - first[j]) * (second[i] - second[j]) < 0 for i in range(5) for j in range(i)
        )
        assert (band[rate].flips, band[rate].pairs) == (flips, 10)
    assert band[RATES[-1]].flips is None


def test_rounding_raises_the_floor() -> None:
    start = Start(rates=RATES, still_fp32=(0.9, 0.5, 0.0, 0.0, 0.0), still_bf16=START.still_bf16)
    band = usable_band(runs(NOISE), start)
    assert band.low == 1e-4
    assert band.curvature_bound is None


@pytest.mark.parametrize(
    ("rates", "expected"),
    [((1e-3, 1e-2), "no rate between"), ((1e-7, 1e-5, 1e-3), "too little to rank by")],
)
def test_nothing_usable_is_said(rates: tuple[float, ...], expected: str) -> None:
    table = runs({**NOISE, 1e-5: 1.0})
    start = Start(
        rates=rates,
        still_fp32=tuple(0.0 for _ in rates),
        still_bf16=tuple(0.0 for _ in rates),
    )
    band = usable_band(table[table["learning_rate"].isin(rates)], start)
    assert expected in band.reason
    assert (band.recommended is None) == ("no rate" in expected)


@pytest.mark.parametrize(("sign", "word"), [(1, "lower"), (-1, "higher")])
def test_a_tuned_rate_at_the_edge_of_what_was_tried_is_a_caution(sign: int, word: str) -> None:
    table = runs(NOISE)
    table["value"] = 5 + sign * np.log10(table["learning_rate"])
    band = usable_band(table, START)
    content = ReportContent(study="mine", band=band)
    [(place, caution)] = content.all_cautions()
    assert (place, caution.name) == ("", "standard-rate-at-edge")
    assert f"may be {word}: add a {word} rate to band.learning_rates." in caution.text
    for shown in (render_report(content), render_summary(content)):
        assert f"add a {word} rate" in " ".join(shown.split())


def test_missing_runs_are_counted_and_a_rate_without_any_is_none() -> None:
    table = runs(NOISE)
    gone = (table["learning_rate"] == 1e-2) | (
        (table["learning_rate"] == 1e-4) & (table["recipe"] == "b") & (table["seed"] == 1)
    )
    band = usable_band(table[~gone], START)
    facts: dict[float, Any] = {rate: band[rate] for rate in RATES}
    assert [facts[rate].missing for rate in RATES] == [0, 0, 1, 0, 15]
    assert facts[1e-2].loss is None
    assert band.standard_at_edge
    assert band.caution is not None
    assert "between it and 1e-2 to band.learning_rates" in band.caution.text
    with pytest.raises(InputError, match="no finished run"):
        usable_band(table[:0], START)


def test_the_report_shows_the_band_and_who_is_aligned() -> None:
    alignment = pd.DataFrame(
        [
            {"recipe": name, "seed": seed, "gradient_cosine": 0.5, "update_cosine": 0.3, "gain": g}
            for name, g in (("worse", 1.0), ("better", 2.0))
            for seed in range(2)
        ]
    )
    band = usable_band(runs(NOISE), START)
    content = ReportContent(study="mine", band=band, alignment=alignment)
    page = render_report(content)
    assert "Recommended for proxies: 1e-4" in page
    assert page.index(">better<") < page.index(">worse<")
    text = render_summary(content)
    assert "Learning rates" in text
    assert max(map(len, text.split("\n"))) <= 100
