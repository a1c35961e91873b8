"""Running a flow in this process, against Prefect's ephemeral server or the one configured."""

import contextlib
import importlib
import os
import re
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import StateType
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.states import Crashed

from curricle.flows.stage import page_of
from curricle.tasks.ladder.outcome import read_ladder_outcome
from curricle.tasks.ladder.plan import LadderPlan
from curricle.tasks.outcome import Outcome, read_outcome
from curricle.tasks.plan import StudyPlan
from curricle.tasks.plans import plan_of
from curricle.tasks.session import open_session

FLUSH_SECONDS = 6.0
# Tells a server, and whoever looks at its environment, which process has started it.
STARTED_BY = "CURRICLE_STARTED_BY"
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED]


def run_local(flow_name: str, study: str, overrides: Sequence[str]) -> Outcome:
    """Run `curricle.flows.<flow_name>` and return what there is to say about the study now."""
    started = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    _end_orphaned_servers()
    os.environ[STARTED_BY] = str(os.getpid())
    flow = getattr(importlib.import_module(f"curricle.flows.{flow_name}"), flow_name)
    # Joining the heartbeat's thread costs a second per flow; heartbeats serve workers alone.
    with (
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        open_session(study, overrides) as session,
        get_client(sync_client=True) as client,
    ):
        plan = session.results.setdefault("plan", plan_of(session.study))
        _mark_dead_runs(client)
        # A server that was started for this run is found by this process alone, unless told: each
        # process that works on shards would start another one, of 220 MiB.
        told = temporary_settings({PREFECT_API_URL: str(client.api_url)})
        with tags(*_process_tags()), told:
            flow(study, list(overrides))
        _wait_for_rows(client)
    seconds = time.monotonic() - started
    if isinstance(plan, LadderPlan):
        outcome = read_ladder_outcome(plan, session.store, seconds=seconds)
    else:
        assert isinstance(plan, StudyPlan)
        outcome = read_outcome(plan, session.store, flow_name, seconds=seconds)
    outcome = outcome.without(session.failures).with_rebuilt(session.rebuilt.values())
    return outcome.with_failures(session.tracker.failures).with_page(page_of(session).problem)


def _end_orphaned_servers() -> None:
    """End ephemeral Prefect servers over this study's database whose starter was killed.

    Prefect ends its server when its process ends in order; after SIGKILL the server would stay, as
    the child of another process than the one that it was told it was started by.
    """
    home = os.environ.get("PREFECT_HOME")
    for server in _prefect_servers() if home else ():
        variables = _read(server.process / "environ").decode(errors="replace").split("\0")
        told = dict(variable.partition("=")[::2] for variable in variables)
        if told.get("PREFECT_HOME") != home or STARTED_BY not in told:
            continue
        if told[STARTED_BY] != server.parent:
            server.send(signal.SIGTERM)


class _Server(NamedTuple):
    """A Prefect server on this machine: its folder in /proc and its parent's id."""

    process: Path
    parent: str

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.process.name), number)


def _prefect_servers() -> Iterator[_Server]:
    for process in Path("/proc").glob("[0-9]*"):
        if b"prefect.server.api.server" in _read(process / "cmdline"):
            parent = re.search(rb"PPid:\t(\d+)", _read(process / "status"))
            if parent is not None:
                yield _Server(process, parent[1].decode())


def _read(path: Path) -> bytes:
    """What the kernel tells of a process; nothing if it has ended or belongs to somebody else."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _leave(number: int, frame: object) -> NoReturn:
    """Leave at once: whatever is half-done is thrown away by the next run, which goes on from here.

    Winding down in order would talk to a server that the same Ctrl-C has ended. That may take it a
    minute, and SIGTERM doesn't reach it: it is killed.
    """
    del frame
    # Not print: a signal that comes while this thread is printing would raise from it (reentrant
    # call), and the run would wind down in order after all.
    os.write(2, b"interrupted: the same command goes on from here\n")
    for server in _prefect_servers():
        if server.parent == str(os.getpid()):
            server.send(signal.SIGKILL)
    os._exit(128 + number)


def _process_tags() -> tuple[str, str]:
    return f"host:{socket.gethostname()}", f"process:{os.getpid()}"


def _mark_dead_runs(client: SyncPrefectClient) -> None:
    """Mark runs and their tasks as crashed whose process on this machine is gone (SIGKILL)."""
    host, own = _process_tags()
    unfinished: dict[str, Any] = {"state": {"type": {"any_": UNFINISHED}}}
    mine = FlowRunFilter.model_validate({**unfinished, "tags": {"all_": [host]}})
    state: Any = Crashed(message="The process that ran this is gone.")
    for run in client.read_flow_runs(flow_run_filter=mine):
        process = next((tag for tag in run.tags if tag.startswith("process:")), own)
        if Path("/proc", process.removeprefix("process:")).exists():
            continue
        tasks = TaskRunFilter.model_validate({**unfinished, "flow_run_id": {"any_": [str(run.id)]}})
        for task_run in client.read_task_runs(task_run_filter=tasks):
            client.set_task_run_state(task_run.id, state, force=True)
        client.set_flow_run_state(run.id, state, force=True)


def _wait_for_rows(client: SyncPrefectClient) -> None:
    """Wait until the server has written the last task states, which it does a little later."""
    own = {"state": {"type": {"any_": UNFINISHED}}, "tags": {"all_": list(_process_tags())}}
    unfinished = TaskRunFilter.model_validate(own)
    deadline = time.monotonic() + FLUSH_SECONDS
    while time.monotonic() < deadline and client.read_task_runs(task_run_filter=unfinished):
        time.sleep(0.3)
