import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.analysis.scaling.made_up import PUBLISHED_RUNS, broken_runs, chinchilla_runs, power_runs

from curricle.cli import main

Fit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fit:
    """The command in this process: status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["fit", *arguments])
        assert isinstance(caught.value.code, int)
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.mark.skipif(not PUBLISHED_RUNS.exists(), reason="needs ../shared/data/chinchilla")
def test_the_published_command_gives_the_published_numbers(fit: Fit) -> None:
    columns = ["--parameters", "Model Size", "--flops", "Training FLOP", "--loss", "loss"]
    rest = ["--drop-highest", "5", "--bootstrap", "200", "--json"]
    status, output, _ = fit(str(PUBLISHED_RUNS), "--model", "chinchilla", *columns, *rest)
    assert status == 0
    found = json.loads(output)
    assert {"parameters", "intervals", "objective", "points"} <= set(found)
    assert found["parameters"]["alpha"] == pytest.approx(0.3478, rel=0.01)
    assert found["intervals"]["alpha"] == pytest.approx([0.317, 0.373], abs=0.008)
    assert found["intervals"]["beta"] == pytest.approx([0.331, 0.415], abs=0.008)
    assert found["points"] == 240


def test_a_power_law_from_parquet_is_shown_as_a_table(fit: Fit) -> None:
    points = power_runs(np.random.default_rng(61))
    pd.DataFrame({"N": points.inputs["x"], "nats": points.loss}).to_parquet("runs.parquet")
    options = ["--model", "power", "--x", "N", "--y", "nats", "--bootstrap", "100"]
    status, output, _ = fit("runs.parquet", *options)
    assert status == 0
    lines = output.splitlines()
    assert lines[0].split() == ["parameter", "estimate", "95", "%", "interval"]
    assert [line.split()[0] for line in lines[1:4]] == ["A", "E", "alpha"]
    assert "points         36" in output
    assert "ten times x takes" in lines[-1]


def test_a_break_is_said_with_its_interval(fit: Fit) -> None:
    points = broken_runs(np.random.default_rng(62), 1e5, noise=0.001)
    pd.DataFrame({"parameters": points.inputs["x"], "loss": points.loss}).to_csv("runs.csv")
    status, output, _ = fit("runs.csv", "--model", "broken", "--bootstrap", "50")
    assert status == 0
    assert output.splitlines()[-1].startswith("break at 1.01e+05 (")


def test_one_ratio_of_tokens_to_parameters_is_warned_about(fit: Fit) -> None:
    points = chinchilla_runs(np.random.default_rng(63), models=12, ratios=1)
    table = pd.DataFrame({**points.inputs, "loss": points.loss})
    table.to_csv("runs.csv", index=False)
    status, output, _ = fit("runs.csv", "--bootstrap", "0")
    assert status == 0
    assert "warning: ill-conditioned: all runs have about 5 tokens per parameter" in output
    assert "95 %" not in output.splitlines()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv"], "missing.csv: "),
        (["runs.csv", "--loss", "nats"], "no column 'nats', expected one of parameters"),
        (["runs.csv"], "-3.0 in column 'loss', row 3"),
        (["runs.csv", "--x", "parameters"], "--x for the law in N and D"),
        (["runs.csv", "--model", "power", "--drop-highest", "9"], "column 'loss', row 3"),
        (["runs.csv", "--tokens", "word"], "many in column 'word', row 2"),
        (["runs.csv", "--loss", "good"], "3 points, expected more than the law's 5"),
        (["runs.csv", "--tokens", "good", "--flops", "good"], "both tokens and FLOP"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(fit: Fit, arguments: list[str], message: str) -> None:
    Path("runs.csv").write_text(
        "parameters,tokens,loss,good,word\n1,20,3.5,3,many\n2,40,-3,2,few\n3,50,2.9,1,few\n"
    )
    status, _, errors = fit(*arguments)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert ", fix: " in errors
