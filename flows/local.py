"""Running a flow in this process, against Prefect's ephemeral server or the one configured."""

import importlib
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Crashed

from curricle.tasks.outcome import Outcome, read_outcome
from curricle.tasks.plan import StudyPlan
from curricle.tasks.session import open_session

FLUSH_SECONDS = 6.0
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED]


def run_local(flow_name: str, study: str, overrides: Sequence[str]) -> Outcome:
    """Run `curricle.flows.<flow_name>` and return what there is to say about the study now."""
    started = time.monotonic()
    flow = getattr(importlib.import_module(f"curricle.flows.{flow_name}"), flow_name)
    # Joining the heartbeat's thread costs a second per flow; heartbeats serve workers alone.
    with (
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        open_session(study, overrides) as session,
        get_client(sync_client=True) as client,
    ):
        plan = session.results.setdefault("plan", StudyPlan(session.study))
        assert isinstance(plan, StudyPlan)
        _mark_dead_runs(client)
        with tags(*_process_tags()):
            flow(study, list(overrides))
        _wait_for_rows(client)
        return read_outcome(plan, session.store, seconds=time.monotonic() - started)


def _process_tags() -> tuple[str, str]:
    return f"host:{socket.gethostname()}", f"process:{os.getpid()}"


def _mark_dead_runs(client: SyncPrefectClient) -> None:
    """Mark runs as crashed whose process on this machine is gone, as after SIGKILL."""
    host, own = _process_tags()
    running = {"state": {"type": {"any_": [StateType.RUNNING]}}, "tags": {"all_": [host]}}
    for run in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(running)):
        process = next((tag for tag in run.tags if tag.startswith("process:")), own)
        if not Path("/proc", process.removeprefix("process:")).exists():
            state: Any = Crashed(message="The process that ran this is gone.")
            client.set_flow_run_state(run.id, state, force=True)


def _wait_for_rows(client: SyncPrefectClient) -> None:
    """Wait until the server has written the last task states, which it does a little later."""
    own = {"state": {"type": {"any_": UNFINISHED}}, "tags": {"all_": list(_process_tags())}}
    unfinished = TaskRunFilter.model_validate(own)
    deadline = time.monotonic() + FLUSH_SECONDS
    while time.monotonic() < deadline and client.read_task_runs(task_run_filter=unfinished):
        time.sleep(0.3)
