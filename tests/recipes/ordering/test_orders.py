from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.core.errors import InputError
from curricle.recipes.ordering import (
    growing_pool_order,
    mixed_order,
    partition,
    random_order,
    reshuffled,
    sorted_order,
)

SAMPLES = 400
DOMAINS = np.repeat([0, 1], SAMPLES // 2)
SCORES = np.random.default_rng(0).normal(size=SAMPLES)
POOL = np.arange(SAMPLES)
IN_POOL = np.ones(SAMPLES, dtype=bool)


def curriculum(count: int, seed: int = 0, **changes: object) -> np.ndarray:
    settings = {"start_fraction": 0.25, "full_at": 0.5, "seed": seed, **changes}
    base = random_order(POOL, count, seed)
    return growing_pool_order(base, SCORES, DOMAINS, IN_POOL, **settings)  # type: ignore[arg-type]


def test_parts_are_disjoint_and_cover_everything() -> None:
    proxy = partition(10_000, 0.3, seed=1, part="proxy")
    target = partition(10_000, 0.3, seed=1, part="target")
    assert sorted([*proxy, *target]) == list(range(10_000))
    assert len(proxy) / 10_000 == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(partition(5, 0.3, 1, "all"), np.arange(5))


@given(st.integers(1, 50), st.integers(1, 200), st.integers(0, 3))
def test_random_order_repeats_only_after_an_epoch(size: int, count: int, seed: int) -> None:
    order = random_order(np.arange(size) * 2, count, seed)
    assert len(order) == count
    counts = Counter(order.tolist())
    assert max(counts.values()) - min(counts.get(2 * i, 0) for i in range(size)) <= 1
    np.testing.assert_array_equal(order, random_order(np.arange(size) * 2, count, seed))


def test_random_order_needs_samples() -> None:
    with pytest.raises(InputError, match="no samples to draw from"):
        random_order(np.array([], dtype=np.int64), 3, 0)


def test_sorting_changes_when_but_not_what() -> None:
    base = random_order(POOL, 100, 0)
    rising = sorted_order(base, SCORES, "ascending")
    assert Counter(rising.tolist()) == Counter(base.tolist())
    assert np.all(np.diff(SCORES[rising]) >= 0)
    assert np.all(np.diff(SCORES[sorted_order(base, SCORES, "descending")]) <= 0)


def test_v_shaped_falls_to_the_lowest_score_and_rises_again() -> None:
    base = random_order(POOL, 101, 0)
    order = sorted_order(base, SCORES, "v-shaped")
    assert Counter(order.tolist()) == Counter(base.tolist())
    lowest = int(np.argmin(SCORES[order]))
    assert lowest == 50
    assert np.all(np.diff(SCORES[order][: lowest + 1]) <= 0)
    assert np.all(np.diff(SCORES[order][lowest:]) >= 0)
    # Both arms span the whole range: neighbouring ranks go to different arms.
    assert sorted([SCORES[order][0], SCORES[order][-1]]) == sorted(SCORES[base])[-2:]


@given(st.integers(1, 60), st.integers(2, 7))
def test_interleaved_rises_through_every_so_manieth_rank(count: int, folds: int) -> None:
    base = random_order(POOL, count, 0)
    order = sorted_order(base, SCORES, "interleaved", folds)
    ranks = np.argsort(np.argsort(SCORES[base]))
    rank_of = dict(zip(base.tolist(), ranks.tolist(), strict=True))
    expected = [rank for start in range(folds) for rank in range(start, count, folds)]
    assert [rank_of[sample] for sample in order.tolist()] == expected


@pytest.mark.parametrize("direction", ["ascending", "v-shaped", "interleaved"])
def test_equal_scores_keep_their_turn(direction: str) -> None:
    base = random_order(POOL, 40, 0)
    order = sorted_order(base, np.zeros(SAMPLES), direction, 4)
    expected = {
        "ascending": base,
        "v-shaped": np.concatenate([base[::2][::-1], base[1::2]]),
        "interleaved": np.concatenate([base[start::4] for start in range(4)]),
    }
    np.testing.assert_array_equal(order, expected[direction])


def test_the_pool_grows_as_the_paper_says() -> None:
    count = 160
    order = curriculum(count)
    rank_in_domain = np.empty(SAMPLES, dtype=int)
    for domain in (0, 1):
        mine = np.flatnonzero(domain == DOMAINS)
        rank_in_domain[mine[np.argsort(-SCORES[mine])]] = np.arange(len(mine))
    share = np.minimum(1.0, 0.25 + 0.75 * (np.arange(count) / count) / 0.5)
    limit = np.ceil(share * SAMPLES / 2)
    assert np.all(rank_in_domain[order] < limit)
    # Nothing is read twice while something unread is open.
    assert len(set(order.tolist())) == count


def test_draws_are_uniform_over_the_open_pool() -> None:
    firsts = [int(curriculum(20, seed=seed, full_at=1.0)[0]) for seed in range(2000)]
    counts = np.array(list(Counter(firsts).values()))
    # 100 samples are open at the start (50 per domain), each first in 20 of 2,000 draws on average.
    assert len(counts) == 100
    assert ((counts - 20) ** 2 / 20).sum() < 160  # chi-squared, 99 degrees of freedom, p = 1e-4


def test_every_position_keeps_the_random_orders_domain() -> None:
    base = random_order(POOL, 160, 5)
    np.testing.assert_array_equal(DOMAINS[curriculum(160, seed=5)], DOMAINS[base])


def test_the_anti_curriculum_mirrors_the_curriculum() -> None:
    base = random_order(POOL, 60, 0)
    settings = {"start_fraction": 0.25, "full_at": 1.0, "seed": 0}
    easy = growing_pool_order(base, SCORES, DOMAINS, IN_POOL, **settings)  # type: ignore[arg-type]
    hard = growing_pool_order(base, SCORES, DOMAINS, IN_POOL, lowest_first=True, **settings)  # type: ignore[arg-type]
    assert SCORES[easy[:10]].min() > SCORES[hard[:10]].max()


def test_the_whole_pool_may_be_read_again_when_used_up() -> None:
    order = curriculum(1000)
    assert len(order) == 1000
    assert set(order.tolist()) == set(range(SAMPLES))


def test_reshuffling_keeps_the_multiset() -> None:
    order = curriculum(1000)
    mixed = reshuffled(order, seed=0)
    assert Counter(mixed.tolist()) == Counter(order.tolist())
    assert not np.array_equal(mixed, order)


def test_a_mixed_order_has_each_domains_share_and_repeats_only_after_its_epoch() -> None:
    pools = {"a": np.arange(0, 40), "b": np.arange(40, 200), "c": np.arange(200, 210)}
    order = mixed_order(pools, {"a": 3, "b": 1}, 101, seed=2)
    np.testing.assert_array_equal(order, mixed_order(pools, {"b": 1, "a": 3}, 101, seed=2))
    assert not np.array_equal(order, mixed_order(pools, {"a": 3, "b": 1}, 101, seed=3))
    reads = Counter(order.tolist())
    assert sum(reads[sample] for sample in pools["a"]) == 76
    assert sum(reads[sample] for sample in pools["b"]) == 25
    assert {reads[sample] for sample in pools["a"]} == {1, 2}
    assert max(reads[sample] for sample in pools["b"]) == 1
    # Shuffled: the beginning has the shares of the whole.
    assert 0.55 < np.mean(order[:50] < 40) < 0.95
    with pytest.raises(InputError, match="mix reads domain 'd', which has no samples"):
        mixed_order(pools, {"a": 1, "d": 1}, 8, seed=0)
