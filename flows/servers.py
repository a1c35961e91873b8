"""Prefect's and MLflow's web pages over a study's data, on loopback unless told otherwise."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import partial

from curricle.core.errors import InputError
from curricle.core.store import Store
from curricle.flows.server_processes import (
    Server,
    check_port,
    ended_together,
    is_loopback,
    mlflow_server,
    prefect_server,
)
from curricle.recipes.study import Study
from curricle.tasks.places import state_folder, tracking_uri
from curricle.tasks.tracking import VIEW


def serve_pages(
    study: Study,
    host: str,
    prefect_port: int,
    mlflow_port: int,
    *,
    announce: Callable[[str], None],
) -> None:
    """Start both servers, announce their addresses, and end them when interrupted.

    Where the study logs to a server of MLflow's, that one is named instead of a second.
    Raises InputError if a port is taken, or for a host beyond loopback, since these servers ask
    nobody who he is; CurricleError if one doesn't answer.
    """
    if not is_loopback(host):
        raise InputError(
            f"--host {host}",
            expected="an address of this machine alone, such as 127.0.0.1",
            fix="reach it through a tunnel, or start curricle up, whose servers ask for passwords",
        )
    folder = state_folder(study)
    if not folder.exists():
        raise InputError(
            f"store {study.store}: nothing in it",
            expected="the data of a study that has run",
            fix=f"curricle run {study.name} first",
        )
    tracking = tracking_uri(study)
    has_server = tracking.startswith("http")
    check_port("Prefect", host, prefect_port)
    if not has_server:
        check_port("MLflow", host, mlflow_port)
    with ended_together() as servers:
        servers.start(prefect_server(host, prefect_port))
        if not has_server:
            servers.start(_own_mlflow(study, host, mlflow_port))
        servers.wait(announce)
        if has_server:
            announce(f"MLflow   {tracking}, where the study logs to")
        if page := Store(study.store, create=False).page(study.name):
            announce(f"page     {page}")
        announce("Ctrl-C ends it." if has_server else "Ctrl-C ends both.")
        servers.watch()


def _own_mlflow(study: Study, host: str, port: int) -> Server:
    """A server over the study's own file."""
    address = f"http://{host}:{port}"
    places = (
        *("--backend-store-uri", tracking_uri(study)),
        *("--default-artifact-root", str(state_folder(study) / "mlflow-artifacts")),
    )
    page = partial(_experiment_page, address, study.name)
    return mlflow_server(host, port, places, page)


def _experiment_page(address: str, name: str) -> str:
    return f"{address}/#/{_experiment_path(address, name)}{VIEW}"


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
