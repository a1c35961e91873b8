"""What a cluster ends goes on elsewhere: a deployed run that SIGTERM has ended is queued again.

Its jobs have left snapshots by then, and the next worker that is free goes on from them. A run that
is cancelled gets SIGTERM too, but Prefect tells it so and calls it Cancelled, not Crashed.
"""

from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import AwaitingRetry

# Of Prefect's words for such a crash; its states have nothing else that tells SIGTERM apart.
_TERMINATED = "termination signal"


def requeue_if_terminated(flow: "Flow[..., Any]", flow_run: FlowRun, state: "State[Any]") -> None:
    """Queue a crashed run again if it is a deployment's own and SIGTERM has ended it.

    Prefect calls it, as a hook, once the run is shown as crashed.
    """
    del flow
    if flow_run.deployment_id is None or _TERMINATED not in (state.message or ""):
        return
    waiting: Any = AwaitingRetry(message="Ended by SIGTERM; goes on where it was.")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, waiting, force=True)
