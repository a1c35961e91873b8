"""Server processes of ours: started, waited for until they answer, and ended together."""

import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, NoReturn

from curricle.core.errors import CurricleError, InputError

STARTUP_SECONDS = 90
STOP_SECONDS = 10
TOLD_CHARACTERS = 2000
FILE_LEASES = "prefect.server.concurrency.lease_storage.filesystem"

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Server:
    """One process: its command, the address that tells health, the page a person opens.

    `page` is asked for once the server answers. A process without `health` is up when it runs.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: str | None
    page: Callable[[], str]
    stop_seconds: float = STOP_SECONDS


class Servers:
    """Processes of ours, each with a log that is told if it fails; ended last one first."""

    def __init__(self) -> None:
        self._running: list[tuple[Server, Process, IO[bytes]]] = []

    def start(self, server: Server) -> None:
        """Start one more."""
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        # A session of its own keeps the terminal's Ctrl-C from reaching the server before us, and
        # lets us end the server together with its own children.
        process = subprocess.Popen(
            server.command,
            env={**os.environ, **server.environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._running.append((server, process, log))

    def wait(self, announce: Callable[[str], None]) -> None:
        """Wait until all answer, and announce each. Raises CurricleError for one that doesn't."""
        for server, process, log in self._running:
            _wait_until_healthy(server, process, log)
            announce(f"{server.name:<8} {server.page()}")

    def watch(self) -> None:
        """Return on Ctrl-C or SIGTERM. Raises CurricleError if a process ends by itself."""
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                for server, process, log in self._running:
                    if process.poll() is not None:
                        raise CurricleError(f"{server.name} has ended by itself{_told(log)}")
                time.sleep(0.5)

    def stop(self) -> None:
        """End all, each before those it may depend on."""
        for server, process, log in reversed(self._running):
            _stop(process, server.stop_seconds)
            log.close()
        self._running.clear()


@contextlib.contextmanager
def ended_together() -> Iterator[Servers]:
    """Servers that are ended when the block is left, by Ctrl-C and SIGTERM too."""
    servers = Servers()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        yield servers
    finally:
        servers.stop()


def prefect_server(host: str, port: int) -> Server:
    """Prefect's server with its pages, over the database that the environment names."""
    address = f"http://{host}:{port}"
    start = (sys.executable, "-m", "prefect", "server", "start")
    environment = {
        # The page asks port 4200 for its data unless it is told where the API is.
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_UI_URL": address,  # notifications link there
        # In memory, leases would be forgotten at a restart, and their slots be taken for ever.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": FILE_LEASES,
    }
    return Server(
        "Prefect",
        (*start, "--host", host, "--port", str(port)),
        environment,
        f"{address}/api/health",
        lambda: f"{address}/runs",
    )


def mlflow_server(
    host: str, port: int, options: tuple[str, ...], page: Callable[[], str] | None = None
) -> Server:
    """MLflow's server; `options` say where it keeps what."""
    address = f"http://{host}:{port}"
    command = (sys.executable, "-m", "mlflow", "server", "--workers", "1")
    # Without job execution, and with one worker, the server takes 0.5 GB instead of 2.6.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Server(
        "MLflow",
        (*command, "--host", host, "--port", str(port), *options),
        environment,
        f"{address}/health",
        page or (lambda: address),
    )


def is_loopback(host: str) -> bool:
    """Whether what listens there is for this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_port(name: str, host: str, port: int) -> None:
    """Raise InputError if the port is taken."""
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


def _interrupt(number: int, frame: object) -> NoReturn:
    """Both signals end the servers; a shell's background job starts with SIGINT ignored."""
    del number, frame
    raise KeyboardInterrupt


def _wait_until_healthy(server: Server, process: Process, log: IO[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if server.health is None:
            return
        try:
            with urllib.request.urlopen(server.health, timeout=2):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise CurricleError(f"{server.name} doesn't answer at {server.health}{_told(log)}")


def _told(log: IO[bytes]) -> str:
    log.seek(0)
    tail = log.read().decode(errors="replace")[-TOLD_CHARACTERS:].strip()
    return f"; it said: {tail}" if tail else ""


def _stop(process: Process, seconds: float) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            return
