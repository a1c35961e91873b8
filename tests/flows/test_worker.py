"""What a worker does with its runs when it is asked to end."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling, Completed, Crashed, Paused, Running, Suspended

from curricle.flows import worker

# Says that it has begun, and on SIGTERM goes or stays.
CHILD = """
import signal, sys, time
if sys.argv[1] == "stays":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
time.sleep(600)
"""


class Server:
    """Knows a state of every run, and notes what it is told."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.told: dict[UUID, Any] = {}

    def read_flow_run(self, _: UUID) -> Any:
        if self.state is None:
            raise httpx.ConnectError("gone")
        return SimpleNamespace(state=self.state)

    def set_flow_run_state(self, run: UUID, state: Any, *, force: bool) -> None:
        assert force
        self.told[run] = state


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Server]:
    def make(state: Any) -> Server:
        made = Server(state)

        @contextlib.contextmanager
        def client(**_: object) -> Iterator[Server]:
            yield made

        monkeypatch.setattr(worker, "get_client", client)
        return made

    return make


@contextlib.contextmanager
def a_run(how: str) -> Iterator[tuple[UUID, "subprocess.Popen[str]"]]:
    """A process of a flow run, as Prefect starts it."""
    run = uuid4()
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, how],
        env={**os.environ, "PREFECT__FLOW_RUN_ID": str(run)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        yield run, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def give_back(grace_seconds: float, announce: Callable[[str], None] = pytest.fail) -> None:
    """What the worker does, apart from what Prefect's own does in between."""
    runs = dict(worker._runs_under_way())
    worker._end(runs, grace_seconds)
    worker._queue_all_again(runs.values(), announce)


@pytest.mark.parametrize(("how", "status"), [("goes", -15), ("stays", -9)])
def test_a_run_is_ended_and_queued_again(
    how: str, status: int, server: Callable[[Any], Server]
) -> None:
    told, started = server(Running()).told, time.monotonic()
    with a_run(how) as (run, process):
        give_back(2.0)
        assert process.wait(timeout=10) == status
    assert (time.monotonic() - started > 2) == (how == "stays")
    assert [(name, state.type, state.name) for name, state in told.items()] == [
        (run, StateType.SCHEDULED, "AwaitingRetry")
    ]


@pytest.mark.parametrize(
    ("state", "again"),
    [
        (Crashed(), True),
        (Completed(), False),
        (Completed(name="Degraded"), False),
        (Cancelling(), False),
        (Paused(), False),
        (Suspended(), False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_has_ended_or_was_stopped_on_purpose_stays_so(
    state: Any, again: bool, server: Callable[[Any], Server]
) -> None:
    told = server(state).told
    with a_run("goes"):
        give_back(10.0)
    assert bool(told) is again


def test_a_server_that_is_gone_is_one_line_a_run(server: Callable[[Any], Server]) -> None:
    server(None)
    lines: list[str] = []
    with a_run("goes") as (run, _):
        give_back(10.0, lines.append)
    assert lines == [f"flow run {run} isn't queued again: gone"]
