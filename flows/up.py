"""The whole platform on one machine: Prefect's server, MLflow's, and workers for its queue.

Databases are SQLite files in a folder, or what Prefect's and MLflow's own variables name
(`PREFECT_SERVER_DATABASE_CONNECTION_URL`, `MLFLOW_BACKEND_STORE_URI`), so that no password stands
in a command line. Artifacts lie in the store, a folder or an object store.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import WorkerStatus
from prefect.settings import PREFECT_API_URL, temporary_settings

from curricle.core.errors import CurricleError, InputError
from curricle.flows.deploying import Wishes, deploy
from curricle.flows.server_processes import (
    Server,
    Servers,
    check_port,
    ended_together,
    is_loopback,
    mlflow_server,
    prefect_server,
)

ONLINE_SECONDS = 90
# A worker lets the jobs of its runs leave snapshots first.
WORKER_STOP_SECONDS = 110
# What must be set before anything listens beyond this machine.
AUTHENTICATION = {
    "PREFECT_SERVER_API_AUTH_STRING": "user:password that Prefect's server asks for",
    "PREFECT_API_AUTH_STRING": "the same, for its clients",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of MLflow's server",
    "MLFLOW_AUTH_CONFIG_PATH": "MLflow's basic_auth.ini, with an admin password of your own",
}


@dataclass(frozen=True)
class Platform:
    """Where the parts listen and keep what they must; `workers` serve the work pool `pool`."""

    folder: Path
    store: str
    host: str
    prefect_port: int
    mlflow_port: int
    workers: int
    pool: str

    @property
    def api(self) -> str:
        """Prefect's API, as its clients here reach it."""
        return f"http://{_reachable(self.host)}:{self.prefect_port}/api"

    @property
    def mlflow(self) -> str:
        """MLflow's server, as its clients here reach it."""
        return f"http://{_reachable(self.host)}:{self.mlflow_port}"

    @property
    def overrides(self) -> list[str]:
        """What every deployed study is told: the common store.

        Where to log is a matter of its worker's: other machines know MLflow by another address.
        """
        return [f"store={self.store}"]


def bring_up(platform: Platform, announce: Callable[[str], None]) -> None:
    """Start everything, register the deployments, and end it all when interrupted.

    Raises InputError if a port is taken or something would listen beyond this machine without
    authentication, CurricleError if a part doesn't answer or ends by itself.
    """
    check_authentication(platform.host)
    check_port("Prefect", platform.host, platform.prefect_port)
    check_port("MLflow", platform.host, platform.mlflow_port)
    with ended_together() as servers:
        servers.start(prefect_server(platform.host, platform.prefect_port))
        servers.start(mlflow_server(platform.host, platform.mlflow_port, tuple(_places(platform))))
        servers.wait(announce)
        with temporary_settings({PREFECT_API_URL: platform.api}):
            addresses = deploy(Wishes(platform.overrides))
            _start_workers(servers, platform)
        announce(f"store    {platform.store}")
        announce(f"{platform.workers} worker(s) for pool {platform.pool}; to start a study:")
        announce(f"  export PREFECT_API_URL={platform.api}")
        announce(f"  prefect deployment run {addresses[0]} -p study=quickstart")
        announce("Ctrl-C ends everything; runs under way leave what they need to go on.")
        servers.watch()


def check_authentication(host: str) -> None:
    """Raise InputError for a host beyond loopback unless both servers ask who is there."""
    if is_loopback(host):
        return
    missing = [name for name in AUTHENTICATION if not os.environ.get(name)]
    if missing:
        raise InputError(
            f"host {host} without authentication",
            expected=f"{missing[0]} in the environment: {AUTHENTICATION[missing[0]]}",
            fix=f"set {', '.join(missing)}, or listen on 127.0.0.1",
        )


def _reachable(host: str) -> str:
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound


def _places(platform: Platform) -> Iterator[str]:
    """Where MLflow keeps its data, unless its own variables say so."""
    if "MLFLOW_BACKEND_STORE_URI" not in os.environ:
        yield from ("--backend-store-uri", f"sqlite:///{platform.folder / 'mlflow.db'}")
    if "MLFLOW_ARTIFACTS_DESTINATION" not in os.environ:
        yield from ("--artifacts-destination", str(platform.folder / "mlflow-artifacts"))
    if not is_loopback(platform.host):
        yield from ("--app-name", "basic-auth")


def _start_workers(servers: Servers, platform: Platform) -> None:
    """Start them and wait until Prefect's server has heard of each."""
    names = [f"{platform.pool}-{number + 1}" for number in range(platform.workers)]
    for name in names:
        servers.start(_worker(platform, name))
    deadline = time.monotonic() + ONLINE_SECONDS
    missing = set(names)
    with get_client(sync_client=True) as client:
        while missing:
            if time.monotonic() > deadline:
                raise CurricleError(f"worker {min(missing)} isn't online after {ONLINE_SECONDS} s")
            time.sleep(0.5)
            known = client.read_workers_for_work_pool(platform.pool)
            missing -= {item.name for item in known if item.status == WorkerStatus.ONLINE}


def _worker(platform: Platform, name: str) -> Server:
    """A worker that runs one study at a time: a study uses the whole machine by itself."""
    return Server(
        "worker",
        (sys.executable, "-m", "curricle", "worker", "--pool", platform.pool, "--name", name),
        {"PREFECT_API_URL": platform.api, "MLFLOW_TRACKING_URI": platform.mlflow},
        None,
        lambda: name,
        WORKER_STOP_SECONDS,
    )
