"""What a run that was killed leaves on a Prefect server: runs of tasks, and of flows inside it.

The server marks the run itself as crashed, once it has been silent for too long, but not its tasks:
they would be shown as running for ever. Other people's flows on the same server are left alone.
"""

import contextlib
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter, TaskRunFilter
from prefect.states import Crashed

from curricle.flows.deploying import wanted_deployments

PERIOD_SECONDS = 15.0
# A task's last state is written a little later than its run's.
SETTLED = timedelta(seconds=30)
UNDER_WAY = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
ENDED = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}}


def keep_ending() -> None:
    """End them now and then, in a thread that ends with this process."""
    threading.Thread(target=_keep_ending, name="remains", daemon=True).start()


def end_remains(
    client: SyncPrefectClient, flows: Iterable[str], settled: timedelta = SETTLED
) -> None:
    """Mark as crashed what is under way in runs of these `flows` that have ended so long ago."""
    ours = FlowFilter.model_validate({"name": {"any_": sorted(flows)}})
    state: Any = Crashed(message="The run that it is part of has ended without it.")
    before = (datetime.now(UTC) - settled).isoformat()
    ended = FlowRunFilter.model_validate({**ENDED, "end_time": {"before_": before}})
    tasks = TaskRunFilter.model_validate(UNDER_WAY)
    for task in client.read_task_runs(
        flow_filter=ours, flow_run_filter=ended, task_run_filter=tasks
    ):
        client.set_task_run_state(task.id, state, force=True)
    inner = FlowRunFilter.model_validate({**UNDER_WAY, "parent_task_run_id": {"is_null_": False}})
    for run in client.read_flow_runs(flow_filter=ours, flow_run_filter=inner):
        assert run.parent_task_run_id is not None
        parent = client.read_task_run(run.parent_task_run_id).state
        if parent is not None and parent.is_crashed():
            client.set_flow_run_state(run.id, state, force=True)


def _keep_ending() -> None:
    flows = {item.flow_name for item in wanted_deployments()}
    while True:
        time.sleep(PERIOD_SECONDS)
        # A server that is away is asked again.
        with contextlib.suppress(httpx.HTTPError, RuntimeError), get_client(sync_client=True) as it:
            end_remains(it, flows)
