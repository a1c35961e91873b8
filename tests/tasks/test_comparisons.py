"""Comparisons of arms that a study asks for."""

from pathlib import Path

import pandas as pd
import pytest

from curricle.analysis.results import AVERAGE
from curricle.recipes.loading import load_study
from curricle.tasks.comparisons import by_rounding
from curricle.tasks.plan import StudyPlan

POOL = "curricula={pool: {}}"


def _plan(study: Path, *settings: str) -> StudyPlan:
    return StudyPlan(load_study(str(study), [POOL, *settings]))


def _targets() -> pd.DataFrame:
    """The pool is better as trained by 0.2 bits per byte and worse once weights are rounded."""
    effects = {
        ("random", ""): 2.0,
        ("pool", ""): 1.8,
        ("random", "_int6"): 2.1,
        ("pool", "_int6"): 2.4,
    }
    rows = [
        ("target", arm, seed, f"validation/bits_per_byte{end}", AVERAGE, value + noise)
        for (arm, end), value in effects.items()
        for seed, noise in enumerate((0.0, 0.01, 0.02) if arm == "pool" else (0.01, 0.0, 0.01))
    ]
    return pd.DataFrame(rows, columns=["stage", "curriculum", "seed", "metric", "domain", "value"])


def test_rounded_weights_are_compared_beside_those_as_trained(tiny_study: Path) -> None:
    found = by_rounding(_plan(tiny_study, "evaluation.weight_bits=6"), _targets())
    assert {name: [item.arm for item in items] for name, items in found.items()} == {
        "as trained": ["pool"],
        "in 6 bits": ["pool"],
    }
    (before,), (after,) = found.values()
    assert (before.verdict, after.verdict) == ("better", "worse")
    assert before.difference == pytest.approx(-0.2 + 0.01 - 0.02 / 3)
    assert before.joint_confidence == 0.95 < before.confidence


def test_without_rounding_or_runs_there_is_nothing_to_compare(tiny_study: Path) -> None:
    assert by_rounding(_plan(tiny_study), _targets()) == {}
    empty = _targets().iloc[:0]
    assert by_rounding(_plan(tiny_study, "evaluation.weight_bits=6"), empty) == {}
