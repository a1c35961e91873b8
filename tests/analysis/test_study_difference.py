import numpy as np
import pandas as pd
import pytest
from scipy import stats

from curricle.analysis.results import results_table
from curricle.analysis.study_difference import CELL_COLUMNS, compare_results
from curricle.core.errors import InputError


def table(values: dict[str, dict[int, float]], stage: str = "proxy") -> pd.DataFrame:
    """Results of `recipe: {seed: loss}`, each run with two domains around its loss."""
    return results_table(
        {
            "stage": stage,
            "variant": "",
            "recipe": recipe,
            "curriculum": "random",
            "family": "gpt2",
            "size": "2x64",
            "parameters": 361_000,
            "learning_rate": 2e-4,
            "batch_size": 8,
            "weight_decay": 0.1,
            "schedule": "constant",
            "seed": seed,
            "tokens": 60_000,
            "flops": 1.9e11,
            "metric": "validation/loss",
            "domain": domain,
            "value": loss + offset,
        }
        for recipe, seeds in values.items()
        for seed, loss in seeds.items()
        for domain, offset in (("code", 0.5), ("prose", -0.5))
    )


def test_one_cell_with_shared_seeds_is_a_paired_t_test() -> None:
    first, second = {0: 7.0, 1: 7.2, 2: 7.1}, {0: 6.7, 1: 6.95, 2: 6.82}
    (cell,) = compare_results(table({"a": first}), table({"a": second})).cells
    expected = stats.ttest_rel(list(second.values()), list(first.values())).confidence_interval()
    assert cell.paired
    assert cell.difference == pytest.approx(-0.27666667)
    assert (cell.low, cell.high) == pytest.approx((expected.low, expected.high))
    assert cell.verdict == "better"


def test_one_cell_with_other_seeds_is_a_two_sample_t_test() -> None:
    first, second = {0: 7.0, 1: 7.2, 2: 7.1}, {10: 7.15, 11: 7.3, 12: 7.0, 13: 7.2}
    (cell,) = compare_results(table({"a": first}), table({"a": second})).cells
    expected = stats.ttest_ind(list(second.values()), list(first.values())).confidence_interval()
    assert not cell.paired
    assert (cell.low, cell.high) == pytest.approx((expected.low, expected.high))
    assert cell.verdict == "cannot tell"
    assert cell.seeds == (3, 4)


def test_cells_share_their_variance_and_hold_jointly() -> None:
    draw = np.random.default_rng(0)
    names = [f"recipe-{number}" for number in range(4)]
    first = {name: dict(enumerate(draw.normal(7, 0.1, 3))) for name in names}
    second = {name: dict(enumerate(draw.normal(7, 0.1, 3))) for name in names}
    cells = compare_results(table(first), table(second)).cells
    pairs = np.array([[second[n][s] - first[n][s] for s in range(3)] for n in names])
    pooled = pairs.var(axis=1, ddof=1).mean()
    margin = stats.t.ppf(1 - 0.05 / 8, 8) * np.sqrt(pooled / 3)
    assert [cell.difference for cell in cells] == pytest.approx(pairs.mean(axis=1))
    assert [cell.high for cell in cells] == pytest.approx(pairs.mean(axis=1) + margin)


def test_equal_runs_are_told_from_runs_that_cannot_be_told_apart() -> None:
    same = {"a": {0: 7.0, 1: 7.2}, "b": {0: 7.0, 1: 7.3}}
    cells = compare_results(table(same), table({**same, "b": {0: 7.1, 1: 7.2}})).cells
    assert [cell.verdict for cell in cells] == [None, "cannot tell"]


def test_single_runs_have_no_interval() -> None:
    (cell,) = compare_results(table({"a": {0: 7.0}}), table({"a": {0: 6.0}})).cells
    assert (cell.low, cell.high, cell.verdict) == (None, None, "cannot tell")


def test_a_run_without_a_value_takes_no_part() -> None:
    first = table({"a": {0: 7.0, 1: 7.2, 2: float("nan")}})
    (cell,) = compare_results(first, table({"a": {0: 6.9, 1: 7.0, 2: 7.0}})).cells
    assert cell.seeds == (2, 2)


def test_cells_of_one_study_alone_are_named() -> None:
    both = compare_results(
        table({"a": {0: 1.0}, "b": {0: 1.0}}), table({"a": {0: 1.0}, "c": {0: 1.0}})
    )
    recipe = CELL_COLUMNS.index("recipe")
    assert [cell[recipe] for cell in both.only_first] == ["b"]
    assert [cell[recipe] for cell in both.only_second] == ["c"]


def test_a_confidence_beyond_one_is_refused() -> None:
    with pytest.raises(InputError, match="confidence 95"):
        compare_results(table({"a": {0: 1.0}}), table({"a": {0: 1.0}}), confidence=95)
