"""A worker for Prefect's queues that gives its runs back when its machine is taken away.

Prefect's own worker, asked to end, kills the processes of its runs at once: their jobs leave
snapshots, but the runs are shown as running until somebody notices. This one asks each run to end,
waits for it, and puts it back into its queue, from which the next worker goes on.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.states import AwaitingRetry
from prefect.workers.process import ProcessWorker

from curricle.core.errors import InputError
from curricle.flows import remains
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
                fix="curricle deploy makes cpu, gpu and nodes",
            )

    runs: dict[int, UUID] = {}

    def leave(number: int, frame: object) -> NoReturn:
        del number, frame
        _set_handlers(signal.SIG_IGN)
        announce("asked to end: runs under way leave snapshots and go back into their queue")
        runs.update(_runs_under_way())
        # The event loop stands still meanwhile, so that no other run is begun.
        _end(runs, grace_seconds)
        _set_handlers(signal.SIG_DFL)  # who asks once more doesn't want to wait
        raise _AskedToEndError

    _set_handlers(leave)
    remains.keep_ending()
    worker = ProcessWorker(
        work_pool_name=pool, name=name, limit=limit, create_pool_if_not_found=False
    )
    # Prefect's worker winds down in order, or the environments that it has written for its runs,
    # keys and passwords among them, would stay on the disk.
    with contextlib.suppress(_AskedToEndError):
        asyncio.run(worker.start(printer=announce))
    _queue_all_again(runs.values(), announce)


def _set_handlers(handler: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


class _AskedToEndError(BaseException):
    """Leaves the event loop; no Exception, or whatever the loop is at might catch it."""


def _end(runs: Iterable[int], grace_seconds: float) -> None:
    """SIGTERM for the processes of runs, and SIGKILL for those that are still there after that."""
    for process in runs:
        _send(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(map(_is_alive, runs)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in runs:
        _send(process, signal.SIGKILL)


def _queue_all_again(runs: Iterable[UUID], announce: Callable[[str], None]) -> None:
    """Queue the runs again, unless they have reached their end or were stopped on purpose."""
    with get_client(sync_client=True) as client:
        for run in runs:
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
