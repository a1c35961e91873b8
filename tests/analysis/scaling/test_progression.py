"""Which curriculum for which size: predictions on sizes that the model hasn't seen."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from curricle.analysis.scaling.differences import differences, mean_interval
from curricle.analysis.scaling.progression import left_out_error, progression_model
from curricle.core.errors import InputError

SIZES = np.geomspace(1e4, 1e6, 12)
BUDGETS = (1e5, 2e5, 4e5)


def ladder(
    random: np.random.Generator,
    *,
    level: float = -0.02,
    by_size: float = 0.0,
    spread: float = 0.004,
    noise: float = 0.004,
    sizes: np.ndarray = SIZES,
) -> pd.DataFrame:
    """A static mix and a progression whose log ratio is a line in log N, and differs by size."""
    rows = []
    for size in sizes:
        truth = level + by_size * np.log(size / 1e5) + random.normal(0, spread)
        for seed in range(3):
            shared = random.normal(0, 0.05)
            for budget, tokens in enumerate(BUDGETS):
                static = 2 + 30 * size**-0.3 + 300 * tokens**-0.5
                for name, shift in (("static", 0.0), ("progression", truth)):
                    loss = static * np.exp(shift + shared + random.normal(0, noise))
                    rows.append((name, size, budget, tokens, seed, loss))
    columns = ["curriculum", "parameters", "budget", "tokens", "seed", "loss"]
    return pd.DataFrame(rows, columns=columns)


def test_a_curriculum_that_helps_large_models_is_recommended_for_them_alone() -> None:
    table = ladder(np.random.default_rng(0), level=0.0, by_size=-0.02)
    model = progression_model(table, "static")
    small, large = (model.recommend(size, 4e5, 3.0) for size in (1e4, 1e6))
    assert small.curriculum == "static"
    assert large.curriculum == "progression"
    assert large.expected is not None
    assert large.expected[1] < large.expected[0] < large.expected[2] < 3.0
    assert small.expected == (3.0, 3.0, 3.0)
    truth = -0.02 * np.log(1e6 / 1e5)
    assert large.best.low < truth < large.best.high < 0
    assert large.inside
    assert not model.recommend(1e8, 4e5).inside


def test_without_a_difference_the_static_mix_stays() -> None:
    chosen = [
        progression_model(ladder(np.random.default_rng(seed), level=0.0), "static")
        .recommend(1e5, 2e5)
        .curriculum
        for seed in range(40)
    ]
    assert chosen.count("static") >= 36


def test_the_prediction_is_that_of_a_line_by_scipy() -> None:
    table = ladder(np.random.default_rng(4), by_size=0.01)
    model = progression_model(table, "static")
    rows = table[table["budget"] == 1].assign(log=np.log(table["loss"]))
    mean = rows.groupby(["curriculum", "parameters"])["log"].mean()
    means = (mean["progression"] - mean["static"]).to_numpy()
    line = stats.linregress(np.log(SIZES), means)
    found = model.predict("progression", 3e5, 2e5)
    assert found.mean == pytest.approx(line.intercept + line.slope * np.log(3e5), abs=1e-9)


def test_a_gap_that_closes_with_the_tokens_is_read_off_and_not_extrapolated() -> None:
    table = ladder(np.random.default_rng(8), level=0.0)
    for budget, gap in enumerate((0.6, 0.09, 0.02)):
        rows = (table["curriculum"] == "progression") & (table["budget"] == budget)
        table.loc[rows, "loss"] *= np.exp(gap)
    model = progression_model(table, "static")
    for tokens, gap in ((1e5, 0.6), (2e5, 0.09), (4e5, 0.02), (4e6, 0.02)):
        found = model.predict("progression", 1e5, tokens)
        assert found.low < gap < found.high
        assert found.mean == pytest.approx(gap, abs=0.01)
    assert model.recommend(1e5, 4e5).curriculum == "static"
    assert not model.recommend(1e5, 4e6).inside
    error, share = left_out_error(model.leave_sizes_out())["progression"]
    assert error < 0.01
    assert share > 0.8


def test_sizes_that_were_never_trained_so_long_are_left_out_where_others_were() -> None:
    table = ladder(np.random.default_rng(9), level=0.1, spread=0.0, noise=1e-4)
    small = table["parameters"] < 1e5
    table.loc[small & (table["curriculum"] == "progression"), "loss"] *= np.exp(0.5)
    table.loc[small, "tokens"] /= 10
    model = progression_model(table, "static")
    assert model.predict("progression", 5e5, 3e5).mean == pytest.approx(0.1, abs=0.01)
    assert model.recommend(5e5, 3e5).inside


def test_left_out_sizes_are_predicted() -> None:
    found = progression_model(ladder(np.random.default_rng(5)), "static").leave_sizes_out()
    assert len(found) == len(SIZES) * len(BUDGETS)
    error, share = left_out_error(found)["progression"]
    assert error < 0.01
    assert share > 0.8


def test_too_few_sizes_are_refused() -> None:
    table = ladder(np.random.default_rng(6), sizes=SIZES[:3])
    with pytest.raises(InputError, match="3 sizes"):
        progression_model(table, "static")


@pytest.mark.slow
def test_intervals_for_a_further_size_cover_what_it_does() -> None:
    covered = []
    for trial in range(1000):
        random = np.random.default_rng(trial)
        every = ladder(random, by_size=0.005, sizes=np.append(SIZES, 1.5e5))
        seen = every[every["parameters"] != 1.5e5]
        mine = every[(every["parameters"] == 1.5e5) & (every["budget"] == 1)]
        log = np.log(mine["loss"])
        static = log[mine["curriculum"] == "static"].to_numpy()
        truth = float(np.mean(log[mine["curriculum"] == "progression"].to_numpy() - static))
        found = progression_model(seen, "static").predict("progression", 1.5e5, 2e5)
        covered.append(found.low <= truth <= found.high)
    # A single budget's mean is noisier than a line's value at it, by a little.
    assert 0.92 <= np.mean(covered) <= 0.97


def test_differences_are_paired_and_over_sizes() -> None:
    table = ladder(np.random.default_rng(7), spread=0.0, noise=1e-4)
    last = table[table["budget"] == 2]
    (found,) = differences(last, "loss", "static")
    assert found.curriculum == "progression"
    assert found.verdict == "better"
    pairs = last.pivot_table(index=["parameters", "seed"], columns="curriculum", values="loss")
    by_size = (pairs["progression"] - pairs["static"]).groupby("parameters").mean()
    assert found.mean == pytest.approx(by_size.mean())
    expected = stats.t.interval(0.95, 11, by_size.mean(), by_size.std(ddof=1) / np.sqrt(12))
    assert (found.low, found.high) == pytest.approx(expected)
    assert len(found.sizes) == 12


def test_one_value_has_no_interval() -> None:
    assert np.isnan(mean_interval([1.0], 0.95)[1])
