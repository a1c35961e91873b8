"""`curricle ui`: both pages answer over a study's data, and end together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.flows.loopback import answers, free_port

PROGRAM = Path(sys.executable).parent / "curricle"


@pytest.mark.timeout(180)
def test_both_pages_are_served_and_ended_together(tiny_study: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "prefect").mkdir(parents=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    number = client.create_experiment("tiny")
    ports = free_port(), free_port()
    options = ("--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1]))
    process = subprocess.Popen(
        [str(PROGRAM), "ui", str(tiny_study), *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(2)]
    mlflow = f"http://127.0.0.1:{ports[1]}"
    assert lines == [
        ["Prefect", f"http://127.0.0.1:{ports[0]}/runs"],
        ["MLflow", f"{mlflow}/#/experiments/{number}/runs?workflowType=machine_learning"],
    ]
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/api/admin/version") as page:
        assert json.load(page)
    assert answers(f"http://127.0.0.1:{ports[1]}/health")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    time.sleep(0.5)
    assert not any(answers(f"http://127.0.0.1:{port}/health") for port in ports)


def test_a_port_that_is_taken_is_named(tiny_study: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        result = subprocess.run(
            [str(PROGRAM), "ui", str(tiny_study), "--prefect-port", port],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert result.returncode == 2
    assert f"port {port} for Prefect" in result.stderr
    assert "fix: give another one with --prefect-port" in result.stderr
