"""The tidy table: types, order, exact floats in every format."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.results import (
    COLUMNS,
    DTYPES,
    add_average,
    arms_table,
    ranking_table,
    read_results,
    results_table,
    to_csv,
    to_json,
    write_results,
)
from curricle.core.errors import InputError


def _row(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "stage": "proxy",
        "recipe": "untouched",
        "curriculum": "random",
        "family": "gpt2",
        "size": "2x64",
        "parameters": 361_000,
        "learning_rate": 1e-4,
        "variant": "",
        "batch_size": 8,
        "weight_decay": 0.1,
        "schedule": "constant",
        "seed": 0,
        "tokens": 60_000,
        "flops": 1.3e20,
        "metric": "validation/loss",
        "domain": "python",
        "value": 0.1 + 0.2,
    }
    return row | changes


def _rows() -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    names = ("b", "a", "NA", 'quoted, "name"')
    return [
        _row(recipe=name, seed=seed, domain=domain, value=float(random.normal()) / 3)
        for name in names
        for seed in range(60)
        for domain in ("x", "y")
    ]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_every_format_gives_the_same_table_back(tmp_path: Path, suffix: str) -> None:
    table = results_table([*_rows(), _row(value=None, curriculum="")])
    path = tmp_path / f"results.{suffix}"
    write_results(table, path)
    pd.testing.assert_frame_equal(read_results(path), table, check_exact=True)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_an_empty_table_keeps_its_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"results.{suffix}"
    write_results(results_table([]), path)
    assert tuple(read_results(path).columns) == COLUMNS


def test_order_of_rows_does_not_matter() -> None:
    rows = _rows()
    assert to_csv(results_table(rows)) == to_csv(results_table(rows[::-1]))
    assert to_json(results_table(rows)) == to_json(results_table(rows[::-1]))


def test_columns_and_types() -> None:
    table = results_table(_rows())
    assert tuple(table.columns) == COLUMNS
    assert {name: str(kind) for name, kind in table.dtypes.items()} == DTYPES


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([_row(extra=1)], "unknown"),
        ([{key: value for key, value in _row().items() if key != "seed"}], "seed"),
        ([_row(stage="warmup")], "stage 'warmup'"),
        ([_row(seed="first")], "don't fit their columns"),
        ([_row(), _row(value=2.0)], "two values of validation/loss"),
    ],
)
def test_malformed_rows_are_refused(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        results_table(rows)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="results file 'results.xlsx'"):
        write_results(results_table([]), tmp_path / "results.xlsx")


def test_a_damaged_csv_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(to_csv(results_table([_row(value=1.5)])).replace("1.5", "high"))
    with pytest.raises(InputError, match="don't fit their columns"):
        read_results(path)


def test_the_average_is_added_where_there_is_none() -> None:
    rows = [_row(domain="x", value=1.0), _row(domain="y", value=4.0)]
    other = [_row(seed=1, domain="x", value=1.0), _row(seed=1, domain="average", value=7.0)]
    table = add_average(results_table([*rows, *other]))
    averages = table[table["domain"] == "average"].set_index("seed")["value"]
    assert averages.to_dict() == {0: 2.5, 1: 7.0}


def test_tables_for_ranking_and_comparison_leave_the_average_out() -> None:
    rows = [
        _row(domain=domain, learning_rate=rate, stage=stage)
        for domain in ("x", "average")
        for rate in (1e-4, 3e-3)
        for stage in ("proxy", "target")
    ]
    table = results_table(rows)
    tiny = ranking_table(table, stage="proxy", learning_rate=1e-4)
    assert tiny.to_dict("records") == [
        {"recipe": "untouched", "seed": 0, "domain": "x", "value": 0.1 + 0.2}
    ]
    arms = arms_table(table[table["learning_rate"] == 1e-4])
    assert list(arms.columns) == ["arm", "seed", "domain", "value"]
    assert list(arms["domain"]) == ["x"]
