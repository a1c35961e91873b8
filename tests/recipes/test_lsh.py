import itertools

import numpy as np
import numpy.typing as npt
import pytest

from curricle.recipes.hashing import mix
from curricle.recipes.lsh import Shape, band_keys, pairs_between, pairs_of_keys, shape_for


def by_brute_force(
    signatures: npt.NDArray[np.uint32], shape: Shape, groups: list[int]
) -> set[tuple[int, int]]:
    bands = signatures.reshape(len(signatures), shape.bands, shape.rows)
    return {
        (left, right)
        for left, right in itertools.combinations(range(len(signatures)), 2)
        if groups[left] == groups[right] and np.equal(bands[left], bands[right]).all(axis=1).any()
    }


def test_candidates_are_the_pairs_with_an_equal_band() -> None:
    draw = np.random.default_rng(0)
    signatures = draw.integers(0, 4, (60, 12)).astype(np.uint32)
    groups = draw.integers(0, 2, 60)
    shape = Shape(bands=4, rows=3)
    found = {
        tuple(pair)
        for keys in band_keys(signatures, shape)
        for pair in pairs_of_keys(keys ^ mix(groups.astype(np.uint64)), np.arange(60)).tolist()
    }
    expected = by_brute_force(signatures, shape, groups.tolist())
    assert found == expected
    assert len(expected) > 20
    between = {
        tuple(pair) for pair in pairs_between(signatures[:30], signatures[30:], shape).tolist()
    }
    every = by_brute_force(signatures, shape, [0] * 60)
    assert between == {(left, right - 30) for left, right in every if left < 30 <= right}


def test_the_probability_is_that_of_a_simulation() -> None:
    shape, similarity = Shape(bands=14, rows=8), 0.75
    equal = np.random.default_rng(0).random((20_000, 14, 8)) < similarity
    simulated = np.mean(np.any(np.all(equal, axis=2), axis=1))
    assert shape.probability(similarity) == pytest.approx(simulated, abs=0.01)


def test_the_most_selective_shape_that_finds_enough_is_chosen() -> None:
    assert shape_for(0.7, 112, 0.5) == Shape(14, 8)
    assert shape_for(1.0, 112, 0.95) == Shape(1, 112)
    assert shape_for(0.01, 4, 0.95) == Shape(4, 1)
    chosen = shape_for(0.8, 112, 0.95)
    assert (
        chosen.probability(0.8)
        >= 0.95
        > Shape(112 // (chosen.rows + 1), chosen.rows + 1).probability(0.8)
    )
