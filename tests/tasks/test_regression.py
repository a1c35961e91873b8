"""Whether a study that is run again finds the same: what is compared, kept and said."""

from pathlib import Path

import pandas as pd
import pytest

from curricle.analysis.results import results_table
from curricle.core.store import Store
from curricle.tasks.regression import Regression

SEEDS = 4


def table(**shifts: float) -> pd.DataFrame:
    """Losses of two recipes, some of them shifted, the seeds apart by a little noise."""
    return results_table(
        {
            "stage": "proxy",
            "variant": "",
            "recipe": recipe,
            "curriculum": "random",
            "family": "gpt2",
            "size": "1x16",
            "parameters": 1000,
            "learning_rate": 1e-3,
            "batch_size": 8,
            "weight_decay": 0.0,
            "schedule": "constant",
            "seed": seed,
            "tokens": 1024,
            "flops": 1,
            "domain": "x",
            "metric": "validation/loss",
            "value": 3.0 + 0.01 * seed + shifts.get(recipe, 0.0) * (1 + 0.01 * seed),
        }
        for recipe in ("plain", "clean")
        for seed in range(SEEDS)
    )


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    """The results of each run by its name, in the place of whole studies."""
    results: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(Regression, "_results", lambda _, run: results[run])
    return results


@pytest.fixture
def runs(tiny_study: Path, tmp_path: Path) -> Regression:
    return Regression(str(tiny_study), [f"store={tmp_path / 'store'}"])


def test_each_run_has_a_store_of_its_own(runs: Regression, tmp_path: Path) -> None:
    stores = {setting for run in "ab" for setting in runs.settings(run) if "store=" in setting}
    assert f"store={tmp_path}/store/.regression/tiny/a" in stores
    assert f"store={tmp_path}/store/.regression/tiny/b" in stores
    assert "name=tiny-regression" in runs.settings("a")


def test_what_has_changed_is_told_with_how_sure_it_is(
    runs: Regression, found: dict[str, pd.DataFrame]
) -> None:
    found |= {"first": table(), "same": table(), "other": table(clean=0.5)}
    assert runs.compare("first") is None
    finish(runs, "first")
    same = runs.compare("same")
    assert same is not None
    assert not same.is_sure
    assert str(same) == "all 2 results are those of the run before, to the last digit"
    finish(runs, "same")
    other = runs.compare("other")
    assert other is not None
    assert other.is_sure
    assert str(other).startswith("1 of 2 results differ from those of the run before, 1 of them")
    assert "clean" in str(other)
    assert str(other).endswith("by +0.5075")


def test_a_result_that_is_gone_is_a_change(
    runs: Regression, found: dict[str, pd.DataFrame]
) -> None:
    whole = table()
    found |= {"first": whole, "second": whole[whole["recipe"] == "plain"]}
    finish(runs, "first")
    comparison = runs.compare("second")
    assert comparison is not None
    assert comparison.is_sure
    assert str(comparison).endswith("1 results were there only before")


def finish(runs: Regression, run: str) -> None:
    runs.begin(run)
    runs.end(run)


def test_the_last_two_that_ended_stay_and_what_began_later(
    runs: Regression, tmp_path: Path
) -> None:
    folder = tmp_path / "store" / ".regression" / "tiny"
    for run in ("a", "failed", "b", "c", "later"):
        (folder / run).mkdir(parents=True)
        runs.begin(run)
        runs.begin(run)  # as after an interruption
    for run in ("a", "b"):
        runs.end(run)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c", "later", "runs.json"]
    runs.end("c")
    runs.end("c")
    assert sorted(path.name for path in folder.iterdir()) == ["b", "c", "later", "runs.json"]
    assert runs.ended == ["b", "c"]
    assert list(Store(str(tmp_path / "store")).artifacts()) == []
