"""A worker for jobs on several devices: one torchrun a training job, one process for the rest."""

import json
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curricle.models.answers import facts_of
from curricle.models.worker_process import (
    LOG_LINES,
    WorkerDiedError,
    WorkerProcess,
    worker_environment,
)


class TorchrunWorker:
    """Runs training jobs with torchrun, as many ranks as there are `devices`.

    Start-up is paid per job, which is small change for a model that needs several devices.
    """

    def __init__(self, devices: int, visible: str = "") -> None:
        self._devices, self._visible = devices, visible
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
        return self._single.run({**message, "placement": {**message["placement"], "devices": 1}})

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
        return TorchrunWorker(self._devices, self._visible)

    def _torchrun(self, message: Mapping[str, Any]) -> dict[str, Any]:
        command = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={self._devices}", "-m", "curricle.models.rank"]
        with tempfile.TemporaryDirectory() as folder:
            job, reply = Path(folder, "job.json"), Path(folder, "answer.json")
            job.write_text(json.dumps(message), encoding="utf-8")
            self._ranks = subprocess.Popen(
                [*command, str(job), str(reply)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=worker_environment(self._visible),
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            status, log = _wait(self._ranks)
            self._ranks = None
            if not reply.exists():
                raise WorkerDiedError(f"torchrun ended with status {status}; last lines:\n{log}")
            return facts_of(json.loads(reply.read_text(encoding="utf-8")))


def _wait(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit status and last lines. Standard input stays open: the ranks end when it closes."""
    assert process.stdout is not None
    log: deque[str] = deque(maxlen=LOG_LINES)
    with process:
        log.extend(line.rstrip() for line in process.stdout)
    return process.returncode, "\n".join(log)
