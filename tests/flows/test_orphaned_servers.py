"""Servers that a killed run has left behind are ended, those of runs that live are not."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curricle.flows import local

Server = subprocess.Popen[bytes]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts what looks like one of Prefect's ephemeral servers."""
    started: list[Server] = []

    def start(**environment: str) -> Server:
        command = [sys.executable, "-c", "import time; time.sleep(60)", "prefect.server.api.server"]
        kept = {k: v for k, v in os.environ.items() if k not in ("PREFECT_HOME", local.STARTED_BY)}
        started.append(subprocess.Popen(command, env={**kept, **environment}))
        return started[-1]

    yield start
    for server in started:
        server.kill()
        server.wait()


def has_ended(server: Server) -> bool:
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_only_the_orphans_of_the_same_study_are_ended(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = str(tmp_path / "home"), str(tmp_path / "home-of-another")
    alive, dead = {local.STARTED_BY: str(os.getpid())}, {local.STARTED_BY: "4194304"}
    orphan = serve(PREFECT_HOME=home, **dead)
    kept = [
        serve(PREFECT_HOME=home, **alive),
        serve(PREFECT_HOME=other, **dead),
        serve(PREFECT_HOME=home),  # not started by a run
        serve(**dead),
    ]
    time.sleep(0.5)  # until each has become the program that it is to be
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    local._end_orphaned_servers()
    assert orphan.poll() is None, "without a database of its own a run ends nobody's server"
    monkeypatch.setenv("PREFECT_HOME", home)
    local._end_orphaned_servers()
    assert has_ended(orphan)
    assert all(server.poll() is None for server in kept)
