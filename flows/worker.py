"""A worker for Prefect's queues that gives its runs back when its machine is taken away.

Prefect's own worker, asked to end, kills the processes of its runs at once: their jobs leave
snapshots, but the runs are shown as running until somebody notices. This one asks each run to end,
waits for it, and puts it back into its queue, from which the next worker goes on.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.states import AwaitingRetry
from prefect.workers.process import ProcessWorker

from curricle.core.errors import InputError
from curricle.flows.deploying import configured_server, has_pool

_RUN = b"PREFECT__FLOW_RUN_ID="


def serve(
    pool: str, name: str | None, limit: int, grace_seconds: float, announce: Callable[[str], None]
) -> None:
    """Work on the runs of a work pool, at most `limit` at a time, until SIGTERM or Ctrl-C.

    Runs have `grace_seconds` to end then. Raises InputError if there is no such pool, or no server
    is named, CurricleError if it doesn't answer.
    """
    with configured_server() as client:
        if not has_pool(client, pool):
            raise InputError(
                f"no work pool {pool!r} at {client.api_url}",
                expected="one that is there",
                fix="curricle deploy makes cpu and gpu",
            )

    def leave(number: int, frame: object) -> NoReturn:
        del number, frame
        announce("asked to end: runs under way leave snapshots and go back into their queue")
        # The event loop stands still meanwhile, so that no other run is begun. A client of its own
        # thread doesn't ask for that loop.
        thread = threading.Thread(target=_give_back, args=(grace_seconds, announce))
        thread.start()
        thread.join()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    worker = ProcessWorker(
        work_pool_name=pool, name=name, limit=limit, create_pool_if_not_found=False
    )
    asyncio.run(worker.start(printer=announce))


def _give_back(grace_seconds: float, announce: Callable[[str], None]) -> None:
    """End the runs of this process, and queue them again unless they have reached their end."""
    runs = dict(_runs_under_way())
    for process in runs:
        _send(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(map(_is_alive, runs)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in runs:
        _send(process, signal.SIGKILL)
    with get_client(sync_client=True) as client:
        for run in runs.values():
            try:
                _queue_again(client, run)
            except (httpx.HTTPError, RuntimeError) as error:
                announce(f"flow run {run} isn't queued again: {error}")


def _queue_again(client: SyncPrefectClient, run: UUID) -> None:
    state = client.read_flow_run(run).state
    if state is not None and (state.is_cancelling() or state.is_paused()):
        return
    if state is not None and state.is_final() and not state.is_crashed():
        return
    waiting: Any = AwaitingRetry(message="Its worker was asked to end; it goes on where it was.")
    client.set_flow_run_state(run, waiting, force=True)


def _runs_under_way() -> Iterator[tuple[int, UUID]]:
    """The processes that this one has started for runs, and which runs these are."""
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                for variable in Path("/proc", child, "environ").read_bytes().split(b"\0"):
                    if variable.startswith(_RUN):
                        yield int(child), UUID(variable.removeprefix(_RUN).decode())


def _is_alive(process: int) -> bool:
    """Whether it is there, and no zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
