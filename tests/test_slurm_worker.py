"""Slurm's batch script, with programs in the place of Slurm's and of the worker."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "deploy" / "slurm" / "worker.sh"
PROGRAMS = {
    "srun": 'echo "srun $@"',
    "scontrol": 'echo "scontrol $@"',
    # A run of it uses the launcher; asked to end, it takes a while.
    "curricle": """
echo "curricle $@"
$CURRICLE_LAUNCHER python -m job
trap 'sleep 1; echo "left snapshots"; exit 3' TERM
touch begun
while :; do sleep 0.1; done""",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What the script sees of an allocation of two nodes."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "2",
    }


def test_asked_to_end_it_waits_for_the_worker_and_queues_again(
    environment: dict[str, str], tmp_path: Path
) -> None:
    script = subprocess.Popen(
        ["bash", str(SCRIPT)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    script.send_signal(signal.SIGTERM)  # what --signal=B:TERM sends
    said, _ = script.communicate(timeout=60)
    options = "--overlap --nodes=2 --ntasks-per-node=1 --kill-on-bad-exit=1"
    assert said.splitlines() == [
        "curricle worker --pool nodes",
        f"srun {options} python -m job",
        "left snapshots",
        "scontrol requeue 7",
    ]


def test_a_worker_that_ends_by_itself_isnt_queued_again(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin" / "curricle").write_text("#!/bin/sh\nexit 2\n")
    done = subprocess.run(
        ["bash", str(SCRIPT)], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")


def test_it_is_a_script_and_wants_a_server(environment: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    del environment["PREFECT_API_URL"]
    done = subprocess.run(
        ["bash", str(SCRIPT)], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "PREFECT_API_URL: names no Prefect server" in done.stderr
