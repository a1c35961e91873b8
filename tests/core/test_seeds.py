import numpy as np

from curricle.core.seeds import derive_seed, generator, uniform_hash


def test_streams_are_stable_and_apart() -> None:
    # The first value is written down so that a change of the derivation, which would change every
    # result of every study, cannot go unnoticed.
    assert derive_seed(0, "initialisation") == 7468651415672199707
    assert len({derive_seed(seed, name) for seed in range(50) for name in ("order", "data")}) == 100


def test_generator_repeats() -> None:
    first, second = generator(7, "order"), generator(7, "order")
    np.testing.assert_array_equal(first.permutation(100), second.permutation(100))


def test_uniform_hash_is_uniform() -> None:
    values = np.array([uniform_hash(str(number), salt="split") for number in range(20_000)])
    counts, _ = np.histogram(values, bins=10, range=(0, 1))
    # Chi-squared with 9 degrees of freedom exceeds 33 once in ten thousand draws.
    assert ((counts - 2000) ** 2 / 2000).sum() < 33
    assert uniform_hash("x", salt="a") != uniform_hash("x", salt="b")
