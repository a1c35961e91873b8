"""A worker for jobs on several devices: one torchrun a training job, one process for the rest.

On several nodes the launcher starts one torchrun on each; they find one another at this machine.
"""

import json
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curricle.models.answers import facts_of
from curricle.models.launcher import launcher, rendezvous
from curricle.models.worker_process import (
    LOG_LINES,
    WorkerDiedError,
    WorkerProcess,
    worker_environment,
    worker_settings,
)


class TorchrunWorker:
    """Runs training jobs with torchrun, a rank for each of the `devices` of each of the `nodes`.

    Start-up is paid per job, which is small change for a model that needs several devices.
    """

    def __init__(self, devices: int, nodes: int = 1, visible: str = "") -> None:
        self._devices, self._nodes, self._visible = devices, nodes, visible
        self._single = WorkerProcess(visible)
        self._ranks: subprocess.Popen[str] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its process for jobs of one device is gone."""
        return self._single.has_ended

    def run(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of the job in `message`. Raises as the job did, or WorkerDiedError."""
        if message["kind"] == "train":
            return self._torchrun(message)
        placement = {**message["placement"], "devices": 1, "nodes": 1}
        return self._single.run({**message, "placement": placement})

    def stop(self) -> None:
        """End the process for jobs of one device."""
        self._single.stop()

    def leave(self) -> None:
        """Close the input of all its processes, and let them end after a last snapshot."""
        self._single.leave()
        if self._ranks is not None:
            assert self._ranks.stdin is not None
            self._ranks.stdin.close()

    def end(self) -> None:
        """End that process at once; a torchrun ends when its input closes."""
        self._single.end()

    def successor(self) -> "TorchrunWorker":
        """Another one in the place of this one."""
        return TorchrunWorker(self._devices, self._nodes, self._visible)

    def _torchrun(self, message: Mapping[str, Any]) -> dict[str, Any]:
        # Inside the job's own folder, which all nodes see.
        with tempfile.TemporaryDirectory(dir=message["output"]) as folder:
            job, reply = Path(folder, "job.json"), Path(folder, "answer.json")
            job.write_text(json.dumps(message), encoding="utf-8")
            self._ranks = subprocess.Popen(
                [*self._command(), str(job), str(reply)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=worker_environment(self._visible),
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            # Beside the ranks' own lines there is a summary of each node's.
            status, log = _wait(self._ranks, LOG_LINES * (1 + self._nodes))
            self._ranks = None
            if not reply.exists():
                raise WorkerDiedError(f"torchrun ended with status {status}; last lines:\n{log}")
            return facts_of(json.loads(reply.read_text(encoding="utf-8")))

    def _command(self) -> list[str]:
        python = [sys.executable, "-P", "-m", "curricle.models.torchrun"]
        ranks = [f"--nproc-per-node={self._devices}", "-m", "curricle.models.rank"]
        if self._nodes == 1:
            return [*python, "--standalone", *ranks]
        # A launcher may start it in an environment of the node's own.
        settings = [f"{name}={value}" for name, value in worker_settings(self._visible).items()]
        return [*launcher(), "env", *settings, *python, *rendezvous(self._nodes), *ranks]


def _wait(process: "subprocess.Popen[str]", lines: int) -> tuple[int, str]:
    """Exit status and last lines. Standard input stays open: the ranks end when it closes."""
    assert process.stdout is not None
    log: deque[str] = deque(maxlen=lines)
    with process:
        log.extend(line.rstrip() for line in process.stdout)
    return process.returncode, "\n".join(log)
