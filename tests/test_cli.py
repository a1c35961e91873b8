import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Curricle = Callable[..., subprocess.CompletedProcess[str]]

COMMANDS = (
    *("run", "prepare", "rank", "score", "pretrain", "evaluate", "scale"),
    *("status", "results", "report", "verify", "diff", "verify-order"),
    *("export", "fit", "gc", "ui", "deploy", "up", "worker"),
)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom curricle.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'prefect', 'mlflow', 'lightning', 'pandas', 'pydantic', 'numpy'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "curricle run quickstart" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(curricle: Curricle, command: str) -> None:
    result = curricle(command, "--help")
    assert result.returncode == 0
    assert f"Example: curricle {command}" in result.stdout


def test_commands_are_listed_completely(curricle: Curricle) -> None:
    listed = curricle("--help").stdout.split("Commands:")[1].split("\n")
    assert [line.split()[0] for line in listed if line.strip()] == [
        *("run", "prepare", "rank", "score", "pretrain", "evaluate", "scale"),
        *("status", "results", "report", "verify", "diff", "verify-order"),
        *("export", "fit", "gc", "ui", "deploy", "up", "worker"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument 'STUDY'"),
        (["dance"], "No such command 'dance'"),
        (["run", "quikstart"], "did you mean quickstart"),
        (["run", "quickstart", "--set", "proxy.learning_rates=[-1e-4]"], "greater than 0"),
        (["run", "quickstart", "--set", "store=/proc/nowhere"], "store /proc/nowhere"),
        (["ui", "quickstart", "--host", "0.0.0.0"], "expected an address of this machine alone"),
        (
            ["run", "quickstart", "--set", "hardware={accelerator: cuda, devices: 8}"],
            "8 CUDA devices asked for, 0 found",
        ),
        (["run", "quickstart", "--set", "corpora.x={source: files, path: no, domain: a}"], "no"),
        (["verify", "nothing-here"], "not there"),
        (["results", "quickstart", "--set", "store=nothing-here"], "not there"),
        (["ui", "quickstart", "--set", "store=nothing-here"], "nothing in it"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    curricle: Curricle, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = curricle(*arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    line = result.stderr.rstrip("\n")
    assert "\n" not in line
    assert line.startswith("error: ")
    assert ", expected " in line
    assert ", fix: " in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file of a known format"),
        ({"a.txt": ""}, "expected"),
        ({"a.txt": "One short document, and nothing else.\n"}, "expected"),
    ],
    ids=["no files", "an empty one", "one short document"],
)
def test_a_corpus_too_small_to_use_is_refused_and_leaves_no_artifact(
    curricle: Curricle, tiny_study: Path, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, text in files.items():
        (corpus / name).write_text(text)
    source = "corpora={mine: {source: files, path: corpus, domain: mine}}"
    result = curricle("run", str(tiny_study), "--set", source)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("error: ") == 1
    assert "Traceback" not in result.stderr
    assert message in result.stderr
    assert list((tmp_path / "store").glob("*/*/*/record.json")) == []
    assert list((tmp_path / "store" / ".staging").glob("*")) == []


def test_a_dry_run_tells_the_plan_and_writes_nothing(
    curricle: Curricle, tiny_study: Path, tmp_path: Path
) -> None:
    result = curricle("run", str(tiny_study), "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    stages = {row["stage"]: row for row in json.loads(result.stdout)}
    assert list(stages) == ["prepare", "rank", "confirm", "score", "pretrain", "evaluate"]
    assert stages["rank"]["training_runs"] == 4 * 2 * 3
    assert stages["rank"]["tokens"] == 4 * 2 * 3 * 4096
    assert stages["confirm"]["training_runs"] == 2 * 3
    # The random arm of the best recipe is trained to confirm the ranking already.
    assert stages["pretrain"]["training_runs"] == 3 * 3
    assert all(row["done"] == 0 for row in stages.values())
    assert not (tmp_path / "store").exists()
    text = curricle("run", str(tiny_study), "--dry-run").stdout
    assert "minutes to go" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--show-dropped", "nothing"], "recipe 'nothing', expected one of untouched, exact-dedup"),
        (["--show-dropped", "exact-dedup"], "step exact-dedup isn't prepared"),
        (["--reason", "x"], "--reason goes with --show-dropped"),
    ],
)
def test_what_cant_be_shown_is_one_line(
    curricle: Curricle, tiny_study: Path, arguments: list[str], message: str
) -> None:
    (tiny_study.parent / "store").mkdir()
    result = curricle("prepare", "tiny.yaml", *arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
