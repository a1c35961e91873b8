"""Tokens to reach the static mix's loss, and effects that depend on the schedule."""

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.scaling.dynamics import CAP, tokens_to_reach
from curricle.analysis.scaling.interaction import interactions

TOKENS = np.geomspace(1e3, 1e5, 9)


def curve(name: str, speed: float, floor: float = 2.0) -> pd.DataFrame:
    """A power law that another curriculum runs through `speed` times as fast."""
    loss = floor + 20 * (TOKENS * speed) ** -0.3
    return pd.DataFrame(
        {"curriculum": name, "parameters": 1e5, "seed": 0, "tokens": TOKENS, "loss": loss}
    )


def test_a_curriculum_that_is_twice_as_fast_needs_half_the_tokens() -> None:
    table = pd.concat([curve("static", 1.0), curve("fast", 2.0), curve("never", 1.0, 3.0)])
    found = tokens_to_reach(table, "static")
    ratios = dict(zip(found["curriculum"], np.exp(found["log_ratio"]), strict=True))
    assert ratios["static"] == pytest.approx(1.0)
    assert ratios["fast"] == pytest.approx(0.5, rel=0.02)
    assert ratios["never"] == pytest.approx(CAP)
    reached = dict(zip(found["curriculum"], found["reached"], strict=True))
    assert reached == {"static": True, "fast": True, "never": False}


def test_runs_without_a_control_are_left_out() -> None:
    alone = curve("fast", 2.0).assign(seed=7)
    assert tokens_to_reach(pd.concat([curve("static", 1.0), alone]), "static").shape[0] == 1


def schedules(random: np.random.Generator, gap: float) -> pd.DataFrame:
    rows = []
    for size in (1e4, 1e5, 1e6):
        for seed in range(3):
            for schedule, effect in (("wsd", -0.02), ("cosine", -0.02 + gap)):
                base = 3 + random.normal(0, 0.1)
                for name, shift in (("static", 0.0), ("progression", effect)):
                    loss = base + shift + random.normal(0, 0.002)
                    rows.append((name, schedule, 2, size, seed, loss))
    columns = ["curriculum", "schedule", "budget", "parameters", "seed", "loss"]
    return pd.DataFrame(rows, columns=columns)


def test_an_effect_that_vanishes_under_another_schedule_is_found() -> None:
    (found,) = interactions(schedules(np.random.default_rng(0), 0.02), "static", "wsd")
    assert (found.curriculum, found.schedule, found.budget, found.runs) == (
        "progression",
        "cosine",
        2,
        9,
    )
    assert found.certain
    assert found.gap == pytest.approx(found.other - found.main)
    assert found.gap == pytest.approx(0.02, abs=4 * np.sqrt(4 / 9) * 0.002)


def test_equal_effects_are_rarely_called_different() -> None:
    certain = [
        interactions(schedules(np.random.default_rng(seed), 0.0), "static", "wsd")[0].certain
        for seed in range(100)
    ]
    assert sum(certain) <= 11
