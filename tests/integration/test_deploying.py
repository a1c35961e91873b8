"""Deployments on a real Prefect server, and a run of one by a real worker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Curricle = Callable[..., subprocess.CompletedProcess[str]]
PREFECT = (sys.executable, "-m", "prefect")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prefect server of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    home = tmp_path_factory.mktemp("prefect")
    process = subprocess.Popen(
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", port],
        env={**os.environ, "PREFECT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + 150
    while not answers(address) and time.monotonic() < deadline:
        time.sleep(0.3)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2):
            return True
    except OSError:
        return False


def prefect(api: str, *arguments: str) -> str:
    environment = {**os.environ, "PREFECT_API_URL": api, "PREFECT_CLI_PROMPT": "false"}
    done = subprocess.run(
        [*PREFECT, *arguments], env=environment, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_registering_twice_changes_nothing_and_what_differs_is_told(
    curricle: Curricle, api: str
) -> None:
    def check(*options: str) -> tuple[int, list[str]]:
        done = curricle("deploy", "--check", "--json", *options, PREFECT_API_URL=api)
        return done.returncode, json.loads(done.stdout)["differences"]

    status, before = check()
    assert status == 1
    assert "deployment study/nightly: missing" in before
    for _ in range(2):
        done = curricle("deploy", "--json", PREFECT_API_URL=api)
        assert done.returncode == 0, done.stderr
        assert "study/nightly" in json.loads(done.stdout)["deployments"]
        assert check() == (0, [])

    found = asked(f"{api}/deployments/name/study/nightly")
    asked(f"{api}/deployments/{found['id']}", {"parameters": {"study": "another"}})
    assert check() == (
        1,
        [
            "deployment study/nightly: parameters is {'study': 'another'}, "
            "expected {'study': 'quickstart'}"
        ],
    )


def asked(url: str, change: dict[str, object] | None = None) -> dict[str, str]:
    """The server's answer to a question, or to a change of what lies at `url`."""
    data = None if change is None else json.dumps(change).encode()
    headers = {"Content-Type": "application/json"}
    method = "GET" if change is None else "PATCH"
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        content = answer.read()
    return dict(json.loads(content)) if content else {}


def test_overrides_reach_every_deployment() -> None:
    from curricle.flows.deploying import wanted_deployments

    for item in wanted_deployments(["store=s3://bucket/x"]):
        assert item.parameters["overrides"] == ["store=s3://bucket/x"]
        assert item.flow.name in item.address


def test_without_a_server_there_is_one_line(curricle: Curricle, tmp_path: Path) -> None:
    home = {"PREFECT_HOME": str(tmp_path)}
    none = curricle("deploy", **home)
    assert none.returncode == 2
    assert none.stderr.startswith("error: no Prefect server, expected its address in PREFECT_API")
    dead = curricle("deploy", PREFECT_API_URL="http://127.0.0.1:9/api", **home)
    assert dead.returncode == 1
    assert dead.stderr.startswith("error: Prefect's server at http://127.0.0.1:9/api")


@pytest.mark.slow
def test_a_worker_runs_a_deployment(
    curricle: Curricle, api: str, tiny_study: Path, tmp_path: Path
) -> None:
    assert curricle("deploy", PREFECT_API_URL=api).returncode == 0
    worker = subprocess.Popen(
        [*PREFECT, "worker", "start", "--pool", "cpu", "--limit", "1"],
        cwd=tmp_path,
        env={**os.environ, "PREFECT_API_URL": api, "PREFECT_HOME": str(tmp_path / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        overrides = json.dumps([f"store={tmp_path / 'store'}"])
        options = ("-p", f"study={tiny_study}", "-p", f"overrides={overrides}")
        prefect(api, "deployment", "run", "prepare/on-demand", *options, "--watch")
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert list((tmp_path / "store" / "dataset").glob("*/*/record.json"))
