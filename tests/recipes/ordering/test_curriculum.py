from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from curricle.core.errors import InputError
from curricle.core.order_file import blank_order
from curricle.core.pacing import rising_and_falling
from curricle.recipes.ordering import SampleTable, curriculum_order, random_order
from curricle.recipes.ordering.growing_pool import ranked_members
from curricle.recipes.specs.curricula import Precomputed

SAMPLES = 300
NAMES = ("a", "b", "c")
DOMAINS = np.repeat([0, 1, 2], [100, 150, 50]).astype(np.int16)
SCORES = np.random.default_rng(0).normal(size=SAMPLES)
IN_POOL = np.arange(SAMPLES) % 5 > 0
POOL = np.flatnonzero(IN_POOL)
TABLE = SampleTable(SCORES, DOMAINS, NAMES, IN_POOL)
PACINGS: dict[str, dict[str, Any]] = {
    "growing-pool": {},
    "sorted": {},
    "bucketed": {"buckets": 4},
    "v-shaped": {"turn": 0.3},
    "interleaved": {"folds": 3},
    "warm-up": {"fraction": 0.25},
    "oversampled-v": {},
    "stages": {"stages": ({"tokens": 3}, {"tokens": 1, "mix": {"a": 1.0}})},
}


def spec(pacing: str, **changes: Any) -> Precomputed:
    settings = {"pacing": pacing, **PACINGS[pacing], **changes}
    parsed: Precomputed = TypeAdapter(Precomputed).validate_python(settings)
    return parsed


def order_of(
    curriculum: Precomputed, count: int = 96, *, seed: int = 1, anti: bool = False
) -> np.ndarray:
    base = random_order(POOL, count, seed)
    return curriculum_order(curriculum, TABLE, base, batch_size=8, seed=seed, anti=anti)


@pytest.mark.parametrize("pacing", PACINGS)
@pytest.mark.parametrize("anti", [False, True])
def test_orders_cover_the_run_and_are_functions_of_their_arguments(pacing: str, anti: bool) -> None:
    order = order_of(spec(pacing), anti=anti)
    assert len(order) == 96
    assert set(order.tolist()) <= set(POOL.tolist())
    np.testing.assert_array_equal(order, order_of(spec(pacing), anti=anti))
    assert not np.array_equal(order, order_of(spec(pacing), anti=not anti))
    assert not np.array_equal(order, order_of(spec(pacing), seed=2, anti=anti))


@pytest.mark.parametrize("pacing", sorted(PACINGS.keys() - {"oversampled-v"}))
def test_an_order_is_written_into_a_mapped_file(pacing: str, tmp_path: Path) -> None:
    base, out = random_order(POOL, 96, 1), blank_order(tmp_path, 96)
    order = curriculum_order(spec(pacing), TABLE, base, batch_size=8, seed=1, out=out)
    assert order is out
    np.testing.assert_array_equal(out, order_of(spec(pacing)))


@pytest.mark.parametrize(
    "pacing", ["growing-pool", "sorted", "bucketed", "v-shaped", "interleaved", "warm-up"]
)
def test_every_batch_has_the_random_orders_domains(pacing: str) -> None:
    base = random_order(POOL, 96, 1)
    np.testing.assert_array_equal(DOMAINS[order_of(spec(pacing))], DOMAINS[base])


@pytest.mark.parametrize("pacing", ["sorted", "bucketed", "v-shaped", "interleaved", "warm-up"])
@pytest.mark.parametrize("within", ["domain", "all"])
def test_arrangements_read_what_the_random_order_reads(pacing: str, within: str) -> None:
    base = random_order(POOL, 500, 1)
    order = order_of(spec(pacing, within=within), 500)
    assert Counter(order.tolist()) == Counter(base.tolist())


@pytest.mark.parametrize("pacing", ["sorted", "interleaved", "v-shaped"])
def test_ascending_is_descending_with_the_scores_turned_round(pacing: str) -> None:
    np.testing.assert_array_equal(
        order_of(spec(pacing, direction="ascending")), order_of(spec(pacing), anti=True)
    )


def _scores(**settings: Any) -> np.ndarray:
    return SCORES[order_of(spec(within="all", **settings))]


def test_sorted_falls() -> None:
    assert np.all(np.diff(_scores(pacing="sorted")) <= 0)
    assert np.all(np.diff(_scores(pacing="sorted", direction="ascending")) >= 0)


def test_buckets_fall_and_are_mixed_inside() -> None:
    found = _scores(pacing="bucketed").reshape(4, 24)
    assert np.all(found[:-1].min(axis=1) >= found[1:].max(axis=1))
    assert all(np.any(np.diff(bucket) > 0) for bucket in found)


def test_the_v_turns_where_it_is_told_to() -> None:
    found = _scores(pacing="v-shaped", turn=0.25)
    assert abs(int(np.argmin(found)) - 24) <= 1
    lowest = int(np.argmin(found))
    assert np.all(np.diff(found[: lowest + 1]) <= 0)
    assert np.all(np.diff(found[lowest:]) >= 0)
    # Both arms span the range: a quarter of the highest eight scores lies on the way down.
    assert np.isin(np.sort(found)[-8:], found[:24]).sum() == 2


def test_folds_fall_through_every_so_manieth_rank() -> None:
    found = _scores(pacing="interleaved", folds=3)
    expected = np.sort(found)[::-1]
    np.testing.assert_array_equal(found, np.concatenate([expected[k::3] for k in range(3)]))


def test_after_the_warm_up_the_random_order_goes_on() -> None:
    base = random_order(POOL, 96, 1)
    order = order_of(spec("warm-up", within="all"))
    best = set(base[np.argsort(-SCORES[base])][:24].tolist())
    assert set(order[:24].tolist()) == best
    assert np.all(np.diff(SCORES[order[:24]]) <= 0)
    np.testing.assert_array_equal(order[24:], [i for i in base.tolist() if i not in best])


def test_the_oversampled_v_is_the_selection_of_the_online_one() -> None:
    """Batch by batch, as a training loop would choose."""
    candidates = random_order(POOL, 192, 1).reshape(12, 16)
    expected: list[int] = []
    for step, row in enumerate(candidates):
        progress = step / 12
        percentile = progress / 0.45 if progress <= 0.45 else 1 - (progress - 0.45) / 0.55
        ranked = sorted(range(16), key=lambda place: -SCORES[row[place]])
        nearest = sorted(range(16), key=lambda rank: (abs(rank / 15 - percentile), rank))[:8]
        expected += row[sorted(ranked[rank] for rank in nearest)].tolist()
    assert order_of(spec("oversampled-v")).tolist() == expected


def test_choosing_piece_by_piece_is_choosing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = order_of(spec("oversampled-v"), 96)
    monkeypatch.setattr("curricle.recipes.ordering.curriculum.CHOSEN_AT_ONCE", 40)
    np.testing.assert_array_equal(order_of(spec("oversampled-v"), 96), expected)


def test_the_v_of_the_percentile() -> None:
    found = rising_and_falling(np.array([0.0, 0.225, 0.45, 0.725, 1.0]), 0.45)
    np.testing.assert_allclose(found, [0, 0.5, 1, 0.5, 0])


def test_stages_have_their_mix_to_the_sample() -> None:
    stages = (
        {"tokens": 300, "mix": {"a": 1.0, "b": 2.0}},
        {"tokens": 100, "mix": {"c": 1.0}, "top": 0.5},
    )
    order = order_of(spec("stages", stages=stages), 120)
    assert Counter(DOMAINS[order[:90]].tolist()) == {0: 30, 1: 60}
    assert Counter(DOMAINS[order[90:]].tolist()) == {2: 30}
    ranked = ranked_members(SCORES, IN_POOL & (DOMAINS == 2))
    counts = Counter(order[90:].tolist())
    assert set(counts) <= set(ranked[:20].tolist())
    assert set(counts.values()) == {1, 2}


def test_anti_stages_come_in_reverse() -> None:
    stages = ({"tokens": 300, "mix": {"a": 1.0}}, {"tokens": 100, "mix": {"b": 1.0}})
    order = order_of(spec("stages", stages=stages), 120, anti=True)
    assert DOMAINS[order].tolist() == [1] * 30 + [0] * 90


def test_a_stage_without_a_mix_has_the_pools_shares() -> None:
    order = order_of(spec("stages", stages=({"tokens": 1},)), 120)
    assert Counter(DOMAINS[order].tolist()) == {0: 40, 1: 60, 2: 20}


def test_a_stage_of_a_domain_without_samples_is_refused() -> None:
    stages = ({"tokens": 1, "mix": {"d": 1.0}},)
    with pytest.raises(InputError, match=r"stage 1 reads domain 'd', which has no samples"):
        order_of(spec("stages", stages=stages))


def test_growing_pools_draw_with_replacement_if_told_to() -> None:
    order = order_of(spec("growing-pool", drawing="with-replacement", start_fraction=0.1), 96)
    assert len(set(order.tolist())) < 96
    assert len(set(order_of(spec("growing-pool")).tolist())) == 96


@pytest.mark.parametrize("pacing", ["growing-pool", "sorted", "stages"])
def test_repeats_beyond_the_cap_are_refused(pacing: str) -> None:
    with pytest.raises(InputError, match="max_repeats"):
        order_of(spec(pacing, max_repeats=1), 500)


def test_an_oversampled_order_is_capped_by_what_it_chooses() -> None:
    """Of 480 candidates, two epochs of the pool, it reads 96, and few of them twice."""
    order = order_of(spec("oversampled-v", oversampling=5))
    most = np.bincount(order).max()
    assert most == 2
    capped = spec("oversampled-v", oversampling=5, max_repeats=2)
    np.testing.assert_array_equal(order_of(capped), order)
    with pytest.raises(InputError, match="chosen 2 times, expected at most max_repeats, 1"):
        order_of(spec("oversampled-v", oversampling=5, max_repeats=1))
    with pytest.raises(InputError, match="248 samples out of a pool of 240: 2 epochs, expected"):
        order_of(spec("oversampled-v", max_repeats=1), 248)


def test_candidates_of_more_epochs_than_are_read_are_no_repeats() -> None:
    """Candidates come from three epochs, of which no sample is chosen more than twice."""
    free = order_of(spec("oversampled-v", oversampling=6))
    assert np.bincount(free).max() < -(-6 * 96 // len(POOL))
    capped = spec("oversampled-v", oversampling=6, max_repeats=int(np.bincount(free).max()))
    np.testing.assert_array_equal(order_of(capped), free)


def test_scores_of_another_number_of_samples_are_refused() -> None:
    with pytest.raises(InputError, match="299 scores for 300 samples"):
        replace(TABLE, scores=SCORES[1:])


def test_ranking_range_by_range_is_one_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.round(SCORES, 1)  # many ties
    members = IN_POOL
    expected = sorted(POOL.tolist(), key=lambda sample: (-scores[sample], sample))
    assert ranked_members(scores, members).tolist() == expected
    rising = sorted(POOL.tolist(), key=lambda sample: (scores[sample], sample))
    monkeypatch.setattr("curricle.recipes.ordering.growing_pool.SORTED_AT_ONCE", 13)
    assert ranked_members(scores, members).tolist() == expected
    assert ranked_members(scores, members, lowest_first=True).tolist() == rising


def test_a_growing_pool_goes_on_from_what_was_read_by_other_scores() -> None:
    base = random_order(POOL, 200, 1)
    first = order_of(spec("growing-pool"), 200)
    fresh = replace(TABLE, scores=-SCORES)
    settings = {"batch_size": 8, "seed": 1, "already": first[:80]}
    order = curriculum_order(spec("growing-pool"), fresh, base, **settings)  # type: ignore[arg-type]
    np.testing.assert_array_equal(order[:80], first[:80])
    np.testing.assert_array_equal(DOMAINS[order], DOMAINS[base])
    assert len(set(order.tolist())) == 200  # nothing is read twice while something is unread
    # At 40 % of the run 85 % of the pool are open, now from the other end of the score.
    hidden = set(ranked_members(SCORES, IN_POOL & (DOMAINS == 1))[:10])
    assert not hidden & set(order[80:90].tolist())


def test_fresh_ranks_are_over_the_whole_pool_not_over_what_is_left() -> None:
    """What was read keeps its rank: of the best 40 % half are used up, and none is from beyond."""
    one = replace(TABLE, domains=np.zeros(SAMPLES, dtype=np.int16), names=("a",))
    best = ranked_members(SCORES, IN_POOL)
    base, already = random_order(POOL, 96, 1), best[:48].astype(np.int64)
    settings = {"start_fraction": 0.4, "full_at": 1.0}
    order = curriculum_order(
        spec("growing-pool", **settings), one, base, batch_size=8, seed=1, already=already
    )
    open_at = np.ceil((0.4 + 0.6 * np.arange(96) / 96) * len(best))
    rank_of = np.empty(SAMPLES)
    rank_of[best] = np.arange(len(best))
    assert (rank_of[order[48:]] < open_at[48:]).all()
    assert (rank_of[order[48:]] >= 48).all()


@pytest.mark.parametrize("fresh", [SCORES, -SCORES])
@pytest.mark.parametrize("anti", [False, True])
def test_repeats_are_capped_over_what_was_read_before_new_scores_and_after(
    fresh: np.ndarray, anti: bool
) -> None:
    base, most = random_order(POOL, 600, 1), []
    for cap in range(2, 9):
        pool = spec("growing-pool", start_fraction=0.1, full_at=1.0, max_repeats=cap)
        settings = {"batch_size": 8, "seed": 1, "anti": anti}
        try:
            first = curriculum_order(pool, TABLE, base, **settings)  # type: ignore[arg-type]
        except InputError:
            continue
        order = curriculum_order(
            *(pool, replace(TABLE, scores=fresh), base),
            **{**settings, "already": first[:200]},  # type: ignore[arg-type]
        )
        np.testing.assert_array_equal(order[:200], first[:200])
        assert max(Counter(first[:200].tolist()).values()) > 1
        most.append(max(Counter(order.tolist()).values()) - cap)
    assert most
    assert max(most) <= 0
