import math

import pytest

from curricle.models.loss_guard import WINDOW, LossGuard, Problem


def test_falling_losses_and_their_noise_pass() -> None:
    guard = LossGuard(1.0)
    losses = [8.0 - 0.1 * step + 0.5 * (step % 2) for step in range(60)]
    assert [guard.verdict(loss) for loss in losses] == [None] * 60


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_fails_even_at_once(loss: float) -> None:
    assert LossGuard(1.0).verdict(loss) == Problem(f"the loss is {loss}")


def test_a_spike_is_two_losses_in_a_row_far_above_the_recent_median() -> None:
    guard = LossGuard(1.0)
    for loss in [9.0] * WINDOW + [3.0] * WINDOW:
        guard.verdict(loss)
    assert [guard.verdict(loss) for loss in (3.9, 4.1, 3.9, 4.2)] == [None] * 4
    reason = "the loss jumped from 3.000 nats to 4.200 and 4.100"
    assert guard.verdict(4.1) == Problem(reason, steps=2)


def test_one_odd_batch_is_no_spike() -> None:
    guard = LossGuard(4.0)
    assert [guard.verdict(loss) for loss in (6.1, 6.0, 11.6, 5.8, 5.9)] == [None] * 5


def test_a_spike_at_the_very_start_is_seen() -> None:
    guard = LossGuard(4.0)
    assert [guard.verdict(loss) for loss in (6.0, 11.0)] == [None, None]
    assert guard.verdict(11.5) is not None


def test_without_a_limit_only_what_is_no_number_is_wrong() -> None:
    guard = LossGuard(None)
    assert [guard.verdict(loss) for loss in (1.0, 99.0)] == [None, None]
    assert guard.verdict(math.nan) == Problem("the loss is nan")


@pytest.mark.parametrize("steps", [3, 4, 50])
def test_a_guard_that_goes_on_judges_as_one_that_never_stopped(steps: int) -> None:
    losses = [*[4.0 + step % 3 for step in range(48)], 9.0, 9.5]
    first, second = LossGuard(1.0), LossGuard(1.0)
    for loss in losses[-steps:-1]:
        first.verdict(loss)
    second.restore(list(first.recent))
    assert first.verdict(losses[-1]) == second.verdict(losses[-1]) is not None


def test_a_gradient_that_is_no_number_is_seen_before_the_next_loss() -> None:
    assert LossGuard(1.0).verdict(3.0, math.inf) == Problem("the gradient's norm is inf")
