"""`curricle rank --table`: the table, JSON, the report, and errors of one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.analysis.test_table_ranking import PLAIN, SCORES, TABLE

from curricle.cli import main

Rank = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Rank:
    """The command in this process: status, output and errors."""
    monkeypatch.chdir(tmp_path)
    TABLE.to_csv("runs.csv", index=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["rank", *arguments])
        assert isinstance(caught.value.code, int)
        return caught.value.code, *capsys.readouterr()

    return run


def test_a_table_is_ranked_and_reported(rank: Rank) -> None:
    status, output, _ = rank("--table", "runs.csv", "--report", "ranking.html")
    assert status == 0
    assert output.startswith("tiny: mean over domains")
    assert output.endswith("Report: ranking.html\n")
    assert "Ranking by target" in Path("ranking.html").read_text()


def test_json_holds_everything(rank: Rank) -> None:
    PLAIN.to_parquet("runs.parquet")
    status, output, _ = rank("--table", "runs.parquet", "--json", "--confidence", "0.9")
    assert status == 0
    found = json.loads(output)
    assert found["methods"] is None
    ranking = found["proxies"]["proxy"]["average"]
    assert ranking["confidence"] == 0.9
    assert len(ranking["pairs"]) == 13 * 12 // 2


def test_accuracies_are_ranked_from_the_highest(rank: Rank) -> None:
    SCORES.to_csv("scores.csv", index=False)
    status, output, _ = rank("--table", "scores.csv", "--higher-is-better", "--json")
    assert status == 0
    found = json.loads(output)
    assert found["higher_is_better"] is True
    assert found["target"]["average"]["recipes"][0]["recipe"] == "c"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'STUDY', or option '--table'"),
        (["quickstart", "--table", "runs.csv"], "--table goes without STUDY"),
        (["--table", "runs.csv", "--dry-run"], "--table goes without STUDY"),
        (["quickstart", "--report", "x.html"], "--report goes with --table"),
        (["quickstart", "--higher-is-better"], "--higher-is-better goes with --table"),
        (["--table", "missing.csv"], "missing.csv: "),
        (["--table", "runs.csv", "--baseline", "none"], "runs.csv: baseline 'none' without"),
        (["--table", "runs.csv", "--report", "no/where.html"], "no/where.html: No such file"),
        (["--table", "odd.csv"], "odd.csv: unknown column 'loss'"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    rank: Rank, arguments: list[str], message: str
) -> None:
    PLAIN.assign(loss=1).to_csv("odd.csv", index=False)
    status, _, errors = rank(*arguments)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert ", fix: " in errors


def test_a_study_is_still_planned(rank: Rank) -> None:
    status, output, _ = rank("quickstart", "--dry-run")
    assert status == 0
    assert "rank" in output
