"""Numbers as people read them."""

import pytest

from curricle.analysis import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (99_960, "100 k"), (3.14159e12, "3.14 T")],
)
def test_quantity(value: float, text: str) -> None:
    assert formatting.quantity(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, ""), (0.0, "0 %"), (0.001, "<1 %"), (0.5, "50 %"), (0.999, ">99 %"), (1.0, "100 %")],
)
def test_percent(share: float | None, text: str) -> None:
    assert formatting.percent(share) == text


@pytest.mark.parametrize(
    ("scale", "decimals"), [(0.0031, 4), (0.02, 3), (1.0, 1), (250.0, 1), (1e-9, 6), (None, 4)]
)
def test_decimals_show_two_digits_of_the_uncertainty(scale: float | None, decimals: int) -> None:
    assert formatting.decimals_for(scale) == decimals


def test_a_difference_in_words() -> None:
    sure = formatting.shift(-0.0115, -0.0131, -0.0098, 0.95)
    assert sure == "0.0115 nats lower (95 % interval 0.0098 to 0.0131)"
    unsure = formatting.shift(0.003, -0.007, 0.013, 0.95)
    assert unsure == "0.003 nats higher (95 % interval 0.007 lower to 0.013 higher)"
    assert formatting.shift(0.5, None, None, 0.95) == "0.5000 nats higher (no interval)"


def test_small_things() -> None:
    assert formatting.signed(-0.00001, 3) == "0.000"
    assert formatting.rate(3e-4) == "3e-4"
    assert formatting.rate(2.5e-5) == "2.5e-5"
    assert formatting.level(1 - 0.05 / 6) == "99.2 %"
    assert formatting.listed(["a"]) == "a"
    assert formatting.listed("abc") == "a, b and c"
    assert formatting.listed("abcde") == "a, b, c and 2 more"
    assert formatting.p_value(0.0004) == "<0.001"
    assert formatting.span(2, 2) == "2"
    assert formatting.counted(1, "seed") == "1 seed"


def test_a_wide_interval_leaves_the_digits_that_another_needs() -> None:
    assert formatting.common_decimals([-0.01, 0.0], [0.05, 3.2]) == 3
    assert formatting.common_decimals([0.1, 0.1, 0.1], [0.3, 0.5, 8.1]) == 2
    assert formatting.common_decimals([None], [None]) == 4
