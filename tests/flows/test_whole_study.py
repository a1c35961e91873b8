"""A whole study through the command line: results, repetition, kills, no network."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.flows.loopback import prefect_servers

PROGRAM = Path(sys.executable).parent / "curricle"
Curricle = Callable[..., subprocess.CompletedProcess[str]]

# Refuses every connection that leaves the machine, in every process that inherits the environment.
GUARD = """
import ipaddress, socket
_connect = socket.socket.connect
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = address[0]
        if host != 'localhost' and not ipaddress.ip_address(host).is_loopback:
            raise OSError(f'no network in this test: {address}')
    return _connect(self, address)
socket.socket.connect = connect
_lookup = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host not in (None, 'localhost', '127.0.0.1', '::1', '0.0.0.0', socket.gethostname()):
        raise OSError(f'no look-ups in this test: {host}')
    return _lookup(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server for the runs that are killed, which saves their start-up."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port],
        env={**os.environ, "PREFECT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield f"http://127.0.0.1:{port}/api"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def started(tiny_study: Path, folder: Path) -> subprocess.Popen[str]:
    """A run with a server of its own that has begun to train."""
    process = subprocess.Popen(
        [str(PROGRAM), "run", str(tiny_study)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline, before = time.monotonic() + 120, artifacts(folder, "checkpoint")
    while artifacts(folder, "checkpoint") < before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None
    return process


def test_interruptions_end_at_once_and_leave_nothing_running(
    curricle: Curricle, tiny_study: Path, tmp_path: Path
) -> None:
    process = started(tiny_study, tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal's Ctrl-C does
    _, printed = process.communicate(timeout=30)
    assert process.returncode == 130
    assert printed.endswith("interrupted: the same command goes on from here\n")
    assert prefect_servers(tmp_path) == []

    killed = started(tiny_study, tmp_path)
    killed.kill()
    killed.wait()
    assert len(prefect_servers(tmp_path)) == 1, "Prefect's server outlives a killed process"
    assert curricle("prepare", str(tiny_study)).returncode == 0
    assert prefect_servers(tmp_path) == []


def results(curricle: Curricle, study: Path) -> list[dict[str, str]]:
    printed = curricle("results", str(study), "--format", "csv")
    assert printed.returncode == 0, printed.stderr
    return list(csv.DictReader(io.StringIO(printed.stdout)))


def artifacts(folder: Path, kind: str) -> int:
    return len(list((folder / "store" / kind).glob("*/*/record.json")))


@pytest.fixture
def undisturbed(curricle: Curricle, tiny_study: Path, tmp_path: Path) -> list[dict[str, str]]:
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    result = curricle("run", str(tiny_study), PYTHONPATH=str(tmp_path / "guard"))
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return results(curricle, tiny_study)


# What lies in the store when the process is killed.
MOMENTS: tuple[Callable[[Path], bool], ...] = (
    lambda folder: (folder / "store" / ".staging").exists(),
    lambda folder: artifacts(folder, "dataset") >= 2,
    lambda folder: artifacts(folder, "checkpoint") >= 5,
    lambda folder: artifacts(folder, "ranking") >= 1,
    lambda folder: artifacts(folder, "scores") >= 2,
    lambda folder: artifacts(folder, "evaluation") >= 4,
)


def run_until(moment: Callable[[Path], bool], study: Path, folder: Path, api: str) -> None:
    process = subprocess.Popen(
        [str(PROGRAM), "run", str(study)],
        cwd=folder,
        env={**os.environ, "PREFECT_API_URL": api},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not moment(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, process.stderr.read() if process.stderr else ""
    process.kill()
    process.wait()


@pytest.mark.timeout(600)
def test_a_study_runs_without_network_and_survives_kills_with_the_same_numbers(
    undisturbed: list[dict[str, str]],
    curricle: Curricle,
    tiny_study: Path,
    tmp_path: Path,
    server: str,
) -> None:
    check_results(undisturbed)
    check_repetition(curricle, tiny_study, tmp_path)

    killed = tmp_path / "killed"
    killed.mkdir()
    for moment in MOMENTS:
        run_until(moment, tiny_study, killed, server)
    finished = subprocess.run(
        [str(PROGRAM), "run", str(tiny_study)],
        cwd=killed,
        env={**os.environ, "PREFECT_API_URL": server},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert finished.returncode == 0, finished.stderr
    again = results(curricle, rewritten(tiny_study, killed))
    assert again == undisturbed
    assert list((killed / "store" / ".staging").iterdir()) == []


def rewritten(study: Path, folder: Path) -> Path:
    """The study with the store of another folder."""
    path = folder / "there.yaml"
    path.write_text(study.read_text().replace("store: store", f"store: {folder / 'store'}"))
    return path


def check_results(rows: list[dict[str, str]]) -> None:
    runs = {
        (row["stage"], row["recipe"], row["curriculum"], row["learning_rate"], row["seed"])
        for row in rows
    }
    stages = [run[0] for run in runs]
    assert stages.count("proxy") == 4 * 2 * 3
    assert stages.count("confirm") == 2 * 3
    assert stages.count("scoring") == 3
    assert stages.count("target") == 4 * 3
    metrics = {row["metric"] for row in rows if row["stage"] == "target"}
    assert {
        "validation/loss",
        "multiple_choice/accuracy",
        "sharpness/largest_eigenvalue",
    } <= metrics
    losses = [
        float(row["value"])
        for row in rows
        if (row["stage"], row["recipe"], row["metric"], row["domain"])
        == ("proxy", "untouched", "validation/loss", "average")
    ]
    assert len(set(losses)) == 2 * 3, "each seed and each rate gives a loss of its own"


def check_repetition(curricle: Curricle, study: Path, folder: Path) -> None:
    """The same command again trains nothing; the database of MLflow has every run once."""
    before = sorted((folder / "store").glob("*/*/*/record.json"))
    again = curricle("run", str(study), "--json")
    assert again.returncode == 0, again.stderr
    assert sorted((folder / "store").glob("*/*/*/record.json")) == before
    with contextlib.closing(io.StringIO(again.stdout)) as stream:
        assert json.load(stream)["report"].endswith("report.html")
    status = json.loads(curricle("status", str(study), "--json").stdout)
    assert all(row["done"] == row["steps"] and not row["next"] for row in status)
    assert sum(row["flops_spent"] for row in status) > 0
    told = curricle("status", str(study), "--price", "2.5").stdout
    assert re.search(
        r"so far: \d\.\d+e\+\d+ FLOPs of training and scoring in \d.* at 2\.5 an hour", told
    )
    page = Path(folder, told.partition("page: ")[2].strip()).read_text()
    assert "finished" in page
    assert "under way" not in page
    assert curricle("verify", "store").returncode == 0
    difference = json.loads(curricle("diff", str(study), str(study), "--json").stdout)
    assert difference["settings"] == {}
    assert {cell["verdict"] for cell in difference["results"]} == {None}
    garbage = json.loads(curricle("gc", "store", "--older-than", "0", "--json").stdout)
    assert garbage["studies"] == ["tiny"]
    assert garbage["artifacts"] == {}, "a finished study refers to all it has made"
