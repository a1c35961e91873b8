"""Curricula with known exponents and irreducible terms."""

import numpy as np
import pandas as pd
import pytest
from tests.analysis.scaling.made_up import curricula_runs

from curricle.analysis.scaling.curricula import compare_curricula
from curricle.core.errors import InputError

FLOORS = {"mix": 1.5, "staged": 1.5, "reverse": 1.5}
EXPONENTS = {"mix": 0.3, "staged": 0.33, "reverse": 0.3}


def test_a_faster_decline_towards_one_floor_is_found() -> None:
    table = curricula_runs(np.random.default_rng(31), FLOORS, EXPONENTS)
    fit = compare_curricula(table, "mix", bootstrap=200)
    assert fit.shared
    assert fit.parameters["E"] == pytest.approx(1.5, abs=0.03)
    assert [item.verdict for item in fit.exponents] == ["baseline", "better", "cannot tell"]
    low, high = fit.exponents[1].difference_interval or (0, 0)
    assert low < 0.03 < high
    assert fit.held_out_shared is not None
    assert set(fit.held_out_shared) == set(FLOORS)


def test_different_floors_are_told_from_one() -> None:
    table = curricula_runs(
        np.random.default_rng(0), {**FLOORS, "staged": 1.7}, {**EXPONENTS, "staged": 0.3}
    )
    fit = compare_curricula(table, "mix", bootstrap=0)
    assert not fit.shared
    assert fit.p_value < 1e-6
    assert fit.parameters["E[staged]"] == pytest.approx(1.7, abs=0.05)
    assert fit.held_out_separate is not None
    assert fit.exponents[1].verdict == "cannot tell"


def test_the_test_of_one_floor_rejects_as_often_as_it_says() -> None:
    random = np.random.default_rng(33)
    tables = [curricula_runs(random, FLOORS, EXPONENTS) for _ in range(12)]
    p_values = [compare_curricula(table, "mix", bootstrap=0).p_value for table in tables]
    assert 0.15 < np.mean(p_values) < 0.85
    assert np.mean(np.array(p_values) < 0.05) <= 0.2


@pytest.mark.parametrize(
    ("curricula", "message"),
    [(["a", "a", "b", "b"], "curricula a, b"), (["mix"] * 4, "curricula mix")],
)
def test_a_missing_control_or_rival_is_an_error(curricula: list[str], message: str) -> None:
    table = pd.DataFrame({"curriculum": curricula, "parameters": [1, 2, 3, 4], "loss": 1.0})
    with pytest.raises(InputError, match=message):
        compare_curricula(table, "mix")


def test_a_curriculum_with_too_few_sizes_is_an_error() -> None:
    table = curricula_runs(np.random.default_rng(34), FLOORS, EXPONENTS)
    with pytest.raises(InputError, match="3 points"):
        compare_curricula(table.iloc[:75], "mix")
    with pytest.raises(InputError, match="no column 'curriculum'"):
        compare_curricula(table.drop(columns="curriculum"), "mix")
