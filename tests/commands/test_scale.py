"""`curricle scale` and the commands that read ladders."""

import json
from pathlib import Path

from tests.conftest import Curricle
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
