"""Intervals over documents against closed forms and against SciPy's bootstrap."""

import numpy as np
import pytest
from scipy import stats

from curricle.core.bootstrap import (
    LEAST_DOCUMENTS,
    LEAST_PER_GROUP,
    Floats,
    Group,
    mean_ratio,
)


def draw_group(documents: int, seed: int, spread: float = 0.6) -> Group:
    """Losses whose ratio of expectations is 3, at lengths that vary."""
    draw = np.random.default_rng(seed)
    length_D = np.ceil(np.exp(draw.normal(5, spread, documents)))
    return Group((2 + draw.gamma(2, 0.5, documents)) * length_D, length_D)


def test_the_value_is_the_mean_of_the_groups_ratios() -> None:
    groups = [Group(np.array([1.0, 5.0]), np.array([2.0, 4.0])), draw_group(30, seed=0)]
    expected = (6 / 6 + groups[1].numerator.sum() / groups[1].denominator.sum()) / 2
    assert mean_ratio(groups).value == pytest.approx(expected)


def test_the_same_data_give_the_same_interval_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = draw_group(50, seed=0)
    whole = mean_ratio([group])
    assert mean_ratio([group]) == whole
    monkeypatch.setattr("curricle.core.bootstrap._MOST_DRAWS", 1000)
    assert mean_ratio([group]) == whole


def test_equal_lengths_give_the_studentised_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).gamma(2, 1, 40)
    found = mean_ratio([Group(values * 7, np.full(40, 7.0))], replicates=20_000)
    draw = np.random.default_rng(1)
    resampled = draw.choice(values, (20_000, 40))
    scores = (resampled.mean(1) - values.mean()) / stats.sem(resampled, axis=1)
    below, above = np.quantile(scores, [0.025, 0.975])
    error = stats.sem(values)
    assert found.low == pytest.approx(values.mean() - above * error, abs=0.05 * error)
    assert found.high == pytest.approx(values.mean() - below * error, abs=0.05 * error)


def test_many_documents_agree_with_scipys_bootstrap() -> None:
    group = draw_group(400, seed=3)

    def ratio(a: Floats, b: Floats, axis: int = -1) -> Floats:
        return a.sum(axis) / b.sum(axis)

    theirs = stats.bootstrap(
        (group.numerator, group.denominator),
        ratio,
        paired=True,
        n_resamples=4000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = mean_ratio([group], replicates=4000)
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=0.1 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.1 * width)


@pytest.mark.parametrize("documents", [10, 30])
def test_the_interval_covers_what_it_claims_with_few_documents(documents: int) -> None:
    trials = 300
    hits = 0
    for trial in range(trials):
        found = mean_ratio([draw_group(documents, seed=1000 * documents + trial)], replicates=400)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 3.0 <= found.high
    assert 0.90 < hits / trials < 0.985


def test_the_mean_over_domains_has_the_error_of_independent_domains() -> None:
    groups = [draw_group(200, seed) for seed in range(4)]
    single = [mean_ratio([group]) for group in groups]
    together = mean_ratio(groups)
    half = [(each.high - each.low) / 2 for each in single if each.low and each.high]
    expected = np.sqrt(np.square(half).sum()) / 4
    assert together.low is not None
    assert together.high is not None
    assert (together.high - together.low) / 2 == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("sizes", "enough"),
    [
        ([LEAST_DOCUMENTS - 1], False),
        ([LEAST_DOCUMENTS], True),
        ([LEAST_PER_GROUP - 1, 50], False),
        ([LEAST_PER_GROUP] * 2, False),
        ([LEAST_PER_GROUP] * 4, True),
    ],
)
def test_too_few_documents_leave_no_interval(sizes: list[int], enough: bool) -> None:
    found = mean_ratio([draw_group(size, seed) for seed, size in enumerate(sizes)])
    assert (found.low is not None, found.high is not None) == (enough, enough)


def test_documents_all_alike_have_an_interval_of_no_width() -> None:
    found = mean_ratio([Group(np.full(12, 6.0), np.full(12, 2.0))])
    assert (found.low, found.value, found.high) == (3.0, 3.0, 3.0)
