import math

import pytest

from curricle.models.loss_guard import WINDOW, LossGuard


def test_falling_losses_and_their_noise_pass() -> None:
    guard = LossGuard(1.0)
    losses = [8.0 - 0.1 * step + 0.5 * (step % 2) for step in range(60)]
    assert [guard.verdict(loss) for loss in losses] == [None] * 60


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_fails_even_at_once(loss: float) -> None:
    assert LossGuard(1.0).verdict(loss) == f"the loss is {loss}"


def test_a_spike_is_a_jump_above_the_recent_median() -> None:
    guard = LossGuard(1.0)
    for _ in range(WINDOW):
        guard.verdict(9.0)
    for _ in range(WINDOW):
        guard.verdict(3.0)
    assert guard.verdict(3.9) is None
    assert guard.verdict(4.1) == "the loss jumped from 3.000 to 4.100 nats"


def test_without_a_limit_only_what_is_no_number_is_wrong() -> None:
    guard = LossGuard(None)
    assert [guard.verdict(loss) for loss in (1.0, 99.0)] == [None, None]
    assert guard.verdict(math.nan) == "the loss is nan"


def test_a_guard_that_goes_on_judges_as_one_that_never_stopped() -> None:
    first, second = LossGuard(1.0), LossGuard(1.0)
    for loss in (5.0, 4.0, 3.0):
        first.verdict(loss)
    second.restore(list(first.recent))
    assert first.verdict(5.5) == second.verdict(5.5) is not None


def test_a_gradient_that_is_no_number_is_seen_before_the_next_loss() -> None:
    assert LossGuard(1.0).verdict(3.0, math.inf) == "the gradient's norm is inf"
