"""`curricle up`: servers and a worker answer, run what is deployed, and end together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.flows.loopback import answers, free_port

PROGRAM = Path(sys.executable).parent / "curricle"
Curricle = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A platform with one worker, and the lines that it has said when it is up."""
    ports = free_port(), free_port()
    process = subprocess.Popen(
        [
            *(str(PROGRAM), "up", "--folder", str(tmp_path / "platform")),
            *("--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        line = process.stdout.readline()
        assert line, f"it has ended after {lines}"
        lines.append(line.strip())
    yield process, lines
    process.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_deployed_study_runs_on_the_worker(
    platform: tuple[subprocess.Popen[str], list[str]], tiny_study: Path, tmp_path: Path
) -> None:
    process, lines = platform
    (api,) = (line.partition("=")[2] for line in lines if "PREFECT_API_URL" in line)
    (mlflow,) = (line.split()[1] for line in lines if line.startswith("MLflow"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "prefect", "deployment", "run", "prepare/on-demand"),
            *("-p", f"study={tiny_study}", "--watch"),
        ],
        env={**os.environ, "PREFECT_API_URL": api, "PREFECT_CLI_PROMPT": "false"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    store = tmp_path / "platform" / "store"
    assert list((store / "dataset").glob("*/*/record.json"))
    assert not (store / "mlflow.db").exists()  # the server keeps it
    query = json.dumps({"max_results": 10}).encode()
    request = urllib.request.Request(
        f"{mlflow}/api/2.0/mlflow/experiments/search",
        data=query,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        names = {item["name"] for item in json.load(answer)["experiments"]}
    assert "tiny" in names
    check_links(api, mlflow)

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=150) == 0
    time.sleep(0.5)
    assert not answers(f"{api}/health")
    assert not answers(f"{mlflow}/health")


def posted(url: str, question: Mapping[str, object]) -> Any:
    """The server's answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(question).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def check_links(api: str, mlflow: str) -> None:
    """Prefect's page of the run leads to MLflow's, and back."""
    (artifact,) = posted(
        f"{api}/artifacts/filter", {"artifacts": {"key": {"any_": ["tiny-mlflow"]}}}
    )
    address, experiment, run_id = re.findall(
        r"\((.+)/#/experiments/(\d+)/runs/(\w+)\?workflowType=machine_learning\)", artifact["data"]
    )[0]
    assert address == mlflow
    search = {"experiment_ids": [experiment]}
    runs = posted(f"{mlflow}/api/2.0/mlflow/runs/search", search)["runs"]
    (run,) = (item for item in runs if item["info"]["run_id"] == run_id)
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert tags["prefect_flow_run_id"] == artifact["flow_run_id"]
    page = f"{api.removesuffix('/api')}/runs/flow-run/{artifact['flow_run_id']}"
    assert tags["mlflow.note.content"] == f"[Prefect's flow run]({page})"


def test_nothing_listens_beyond_loopback_without_a_password(curricle: Curricle) -> None:
    result = curricle("up", "--host", "0.0.0.0")
    assert result.returncode == 2
    assert re.search(
        r"host 0\.0\.0\.0 without authentication, expected PREFECT_SERVER_API_AUTH_STRING in the "
        r"environment.*fix: set PREFECT_SERVER_API_AUTH_STRING, PREFECT_API_AUTH_STRING, MLFLOW_",
        result.stderr,
    )
