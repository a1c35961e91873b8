"""`curricle scale` and the commands that read ladders."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.conftest import PROGRAM, Curricle
from tests.ladders import LADDER


def test_a_dry_run_lists_sizes_with_flops_and_hours_and_writes_nothing(
    curricle: Curricle, tmp_path: Path
) -> None:
    (tmp_path / "ladder.yaml").write_text(LADDER)
    result = curricle("scale", "ladder.yaml", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    plain = json.loads(result.stdout)
    assert [row["size"] for row in plain["sizes"]] == ["1x8", "1x16", "1x24", "1x32"]
    assert all(row["flops"] > 0 and row["hours_to_go"] > 0 for row in plain["sizes"])
    assert plain["paper"][-1]["parameters"] == 1e11
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ladder.yaml"]
    text = curricle("scale", "ladder.yaml", "--dry-run").stdout
    assert "N (non-embedding)" in text
    assert "hours to go" in text
    (tmp_path / "store").mkdir()
    assert curricle("status", "ladder.yaml").stdout == text


def test_studies_of_the_other_form_are_one_line(
    curricle: Curricle, tiny_study: Path, tmp_path: Path
) -> None:
    (tmp_path / "ladder.yaml").write_text(LADDER)
    for arguments, fix in (
        (("scale", str(tiny_study)), "curricle run"),
        (("run", "ladder.yaml"), "curricle scale ladder.yaml"),
        (("report", "ladder.yaml", "--set", "store=."), "curricle scale tiny-ladder"),
    ):
        result = curricle(*arguments)
        assert result.returncode == 2, result.stderr
        assert f"fix: {fix}" in result.stderr
        assert result.stderr.count("\n") == 1


# Checkpoints in the store when the command is killed: among the trunks, the branches, the rest.
MOMENTS = (4, 30, 60)


def kill_at(checkpoints: int, arguments: list[str], folder: Path) -> None:
    """Start a ladder's command and kill it once so many of its runs are trained."""
    process = subprocess.Popen(
        [str(PROGRAM), *arguments], cwd=folder, stderr=subprocess.DEVNULL, env=os.environ
    )
    deadline = time.monotonic() + 600
    store = folder / "store" / "checkpoint"
    while len(list(store.glob("*/*/record.json"))) < checkpoints:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_ladder_that_is_killed_goes_on_to_the_same_findings(tmp_path: Path) -> None:
    tables = []
    for name, moments in (("undisturbed", ()), ("killed", MOMENTS)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ladder.yaml").write_text(LADDER)
        arguments = ["scale", "ladder.yaml", "--set", "scaling.schedules={wsd: {}}"]
        for checkpoints in moments:
            kill_at(checkpoints, arguments, folder)
        subprocess.run([str(PROGRAM), *arguments], cwd=folder, check=True, timeout=900)
        (found,) = (folder / "store" / "scaling").glob("*/*")
        names = ("runs.csv", "items.csv", "curves.csv", "scaling.json", "summary.txt")
        tables.append({name: (found / name).read_text() for name in names})
    assert tables[0] == tables[1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_ladder_goes_on_without_what_diverges(tmp_path: Path) -> None:
    (tmp_path / "ladder.yaml").write_text(LADDER)
    # Rates of 1e4 and 10 for the two smallest sizes, 0.2 and 0.01 for the others.
    rates = ("scaling.learning_rate=1e-5", "scaling.rate_exponent=10")
    arguments = [part for rate in rates for part in ("--set", rate)]
    command = [str(PROGRAM), "scale", "ladder.yaml", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().split("\n")[-1]
    assert last.startswith("Degraded: ")
    assert "static 1x16, " in last
    assert "learning rate 10.4858" in last
    assert last.endswith("The same command tries them again.")
    (page,) = (tmp_path / "store" / "scaling").glob("*/*/report.html")
    assert "finished without" in page.read_text()
