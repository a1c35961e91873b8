"""Prefect's and MLflow's web pages over a study's data, on loopback unless told otherwise."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, NoReturn

from curricle.core.errors import CurricleError, InputError
from curricle.recipes.study import Study
from curricle.tasks.places import state_folder, tracking_uri

STARTUP_SECONDS = 90

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Server:
    """One server process: its command, the address that tells health, the page a person opens.

    `page` is asked for once the server answers.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: str
    page: Callable[[], str]


def serve_pages(
    study: Study,
    host: str,
    prefect_port: int,
    mlflow_port: int,
    *,
    announce: Callable[[str], None],
) -> None:
    """Start both servers, announce their addresses, and end them when interrupted.

    Raises InputError if a port is taken, CurricleError if a server doesn't answer.
    """
    if not state_folder(study).exists():
        raise InputError(
            f"store {study.store}: nothing in it",
            expected="the data of a study that has run",
            fix=f"curricle run {study.name} first",
        )
    servers = [_prefect(host, prefect_port), _mlflow(study, host, mlflow_port)]
    for server, port in zip(servers, (prefect_port, mlflow_port), strict=True):
        _check_port(server.name, host, port)
    processes: list[Process] = []
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in servers]
        stack.callback(_stop_all, processes)
        processes += map(_start, servers, logs)
        for server, process, log in zip(servers, processes, logs, strict=True):
            _wait_until_healthy(server, process, log)
            announce(f"{server.name:<8} {server.page()}")
        announce("Ctrl-C ends both.")
        with contextlib.suppress(KeyboardInterrupt):
            while all(process.poll() is None for process in processes):
                time.sleep(0.5)
            raise CurricleError("a server has ended by itself")


def _interrupt(number: int, frame: object) -> NoReturn:
    """Both signals end the servers; a shell's background job starts with SIGINT ignored."""
    del number, frame
    raise KeyboardInterrupt


def _stop_all(processes: Sequence[Process]) -> None:
    for process in processes:
        _stop(process)


def _prefect(host: str, port: int) -> Server:
    address = f"http://{host}:{port}"
    command = (
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        host,
        "--port",
        str(port),
    )
    # The page asks port 4200 for its data unless it is told where the API is.
    environment = {"PREFECT_SERVER_UI_API_URL": f"{address}/api"}
    return Server(
        "Prefect", command, environment, f"{address}/api/health", lambda: f"{address}/runs"
    )


def _mlflow(study: Study, host: str, port: int) -> Server:
    address = f"http://{host}:{port}"
    command = (
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", host, "--port", str(port)),
        *("--backend-store-uri", tracking_uri(study)),
        *("--default-artifact-root", str(state_folder(study) / "mlflow-artifacts")),
    )
    # Without job execution, and with one worker, the server takes 0.5 GB instead of 2.6.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Server(
        "MLflow",
        command,
        environment,
        f"{address}/health",
        lambda: f"{address}/#/{_experiment_path(address, study.name)}",
    )


def _experiment_path(address: str, name: str) -> str:
    """Where MLflow's pages show the runs of the experiment called `name`."""
    query = urllib.parse.urlencode({"experiment_name": name})
    url = f"{address}/api/2.0/mlflow/experiments/get-by-name?{query}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
            number = json.load(answer)["experiment"]["experiment_id"]
    except (urllib.error.URLError, OSError):
        return "experiments"
    return f"experiments/{number}/runs"


def _check_port(name: str, host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"port {port} for {name}: {error.strerror}",
                expected="a free port",
                fix=f"give another one with --{name.lower()}-port",
            ) from None


def _start(server: Server, log: IO[bytes]) -> Process:
    # A session of its own keeps the terminal's Ctrl-C from reaching the server before us, and lets
    # us end the server together with its own children.
    return subprocess.Popen(
        server.command,
        env={**os.environ, **server.environment},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _wait_until_healthy(server: Server, process: Process, log: IO[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(server.health, timeout=2):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    _stop(process)
    log.seek(0)
    tail = log.read().decode(errors="replace")[-2000:]
    raise CurricleError(f"{server.name} doesn't answer at {server.health}; it said: {tail}")


def _stop(process: Process) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            return
