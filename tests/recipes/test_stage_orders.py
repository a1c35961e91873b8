"""Arrangements read the mix's own samples, by stage."""

import numpy as np
import pytest

from curricle.recipes.stage_orders import arranged_by_stage, bins_of

STAGES = np.repeat(np.arange(4), 50)
ORDER = np.random.default_rng(0).permutation(200)


@pytest.mark.parametrize("backward", [False, True])
def test_what_is_staged_is_sorted_and_the_rest_stays(backward: bool) -> None:
    arranged = arranged_by_stage(ORDER, STAGES, 120, backward=backward, rehearsal=0.0, seed=0)
    steps = np.diff(STAGES[arranged[:120]])
    assert (steps <= 0).all() if backward else (steps >= 0).all()
    assert np.array_equal(arranged[120:], ORDER[120:])
    assert np.array_equal(np.sort(arranged[:120]), np.sort(ORDER[:120]))
    for stage in range(4):
        turn = [sample for sample in ORDER[:120] if STAGES[sample] == stage]
        assert [sample for sample in arranged[:120] if STAGES[sample] == stage] == turn


def test_rehearsed_samples_keep_their_places() -> None:
    plain = arranged_by_stage(ORDER, STAGES, 200, backward=False, rehearsal=0.0, seed=1)
    mixed = arranged_by_stage(ORDER, STAGES, 200, backward=False, rehearsal=0.5, seed=1)
    assert np.array_equal(np.sort(mixed), np.sort(ORDER))
    assert 70 < int((mixed == ORDER).sum()) < 150
    assert int((plain == ORDER).sum()) < 30
    moved = mixed[mixed != ORDER]
    assert (np.diff(STAGES[moved]) >= 0).all()


def test_bins_are_equally_large_in_every_group_and_ordered_by_score() -> None:
    random = np.random.default_rng(3)
    scores, groups = random.normal(size=203), random.integers(0, 3, 203)
    stage = bins_of(scores, groups, 4, descending=False)
    for group in range(3):
        mine = groups == group
        counts = np.bincount(stage[mine], minlength=4)
        assert counts.max() - counts.min() <= 1
        for number in range(3):
            low, high = (scores[mine & (stage == place)] for place in (number, number + 1))
            assert low.max() <= high.min()
    falling = bins_of(scores, groups, 4, descending=True)
    assert (
        scores[(falling == 0) & (groups == 0)].min() >= scores[(falling == 3) & (groups == 0)].max()
    )
