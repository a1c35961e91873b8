from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.core.errors import InputError
from curricle.recipes.ordering.drawing import draw_from_prefixes, draw_least_read

STAIRS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=12)


@given(STAIRS, st.integers(0, 5))
def test_unread_ranks_come_first_and_none_from_beyond_the_prefix(
    stairs: list[tuple[int, int]], seed: int
) -> None:
    sizes = np.maximum.accumulate([size for size, _ in stairs]).tolist()
    counts = [count for _, count in stairs]
    drawn = draw_from_prefixes(sizes, counts, np.random.default_rng(seed)).tolist()
    assert len(drawn) == sum(counts)
    waiting: set[int] = set()
    opened, done = 0, 0
    for size, count in zip(sizes, counts, strict=True):
        waiting |= set(range(opened, size))
        opened = size
        for rank in drawn[done : done + count]:
            waiting = waiting or set(range(opened))
            assert rank in waiting
            waiting.remove(rank)
        done += count


def test_every_sequence_of_draws_is_as_likely() -> None:
    """Two of the first two, then two of four: 2 x 2 sequences, told apart by nothing."""
    seen = Counter(
        tuple(draw_from_prefixes([2, 4], [2, 2], np.random.default_rng(seed)).tolist())
        for seed in range(4000)
    )
    assert set(seen) == {(a, 1 - a, b, 5 - b) for a in (0, 1) for b in (2, 3)}
    assert sum((count - 1000) ** 2 / 1000 for count in seen.values()) < 21  # 3 df, p = 1e-4


def test_draws_with_replacement_repeat_and_stay_inside() -> None:
    draw = np.random.default_rng(0)
    drawn = draw_from_prefixes([3, 10], [300, 1000], draw, "with-replacement")
    assert drawn[:300].max() == 2
    counts = np.bincount(drawn[300:], minlength=10)
    assert ((counts - 100) ** 2 / 100).sum() < 34  # 9 degrees of freedom, p = 1e-4


def test_repeats_are_capped() -> None:
    drawn = draw_from_prefixes([2, 5], [4, 6], np.random.default_rng(0), max_repeats=2)
    assert sorted(drawn.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    with pytest.raises(InputError, match="all 2 samples that may be drawn have been read 2 times"):
        draw_from_prefixes([2, 5], [5, 5], np.random.default_rng(0), max_repeats=2)


def test_the_least_read_come_first() -> None:
    reads = np.array([2, 0, 1, 0, 0], dtype=np.uint16)
    draw = np.random.default_rng(0)
    assert {1, 3} <= set(draw_least_read(reads, 4, 3, draw).tolist()) <= {1, 2, 3}
    assert reads[4] == 0
    assert reads[:4].tolist() in ([2, 2, 1, 1], [2, 1, 2, 1], [2, 1, 1, 2])
    with pytest.raises(InputError, match="expected max_repeats that is enough"):
        draw_least_read(reads, 2, 2, draw, max_repeats=2)
