"""Which crashed runs are queued again; `tests.integration.faults` does it for real (eviction)."""

import asyncio
import contextlib
import signal
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import TerminationSignal
from prefect.states import exception_to_crashed_state

from curricle.flows import requeue
from curricle.flows.requeue import requeue_if_terminated
from curricle.flows.study import study

EVICTED = TerminationSignal(signal=signal.SIGTERM)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[uuid.UUID, Any, bool]]:
    """What Prefect's server is told about runs."""
    calls: list[tuple[uuid.UUID, Any, bool]] = []

    class Client:
        def set_flow_run_state(self, run: uuid.UUID, state: Any, *, force: bool) -> None:
            calls.append((run, state, force))

    @contextlib.contextmanager
    def client(**_: object) -> Iterator[Client]:
        yield Client()

    monkeypatch.setattr(requeue, "get_client", client)
    return calls


def crashed(run: FlowRun, error: BaseException) -> None:
    requeue_if_terminated(study, run, asyncio.run(exception_to_crashed_state(error)))


def run_of(deployment: uuid.UUID | None) -> FlowRun:
    return FlowRun(flow_id=uuid.uuid4(), deployment_id=deployment)


def test_a_deployed_run_that_sigterm_has_ended_waits_for_another_worker(
    told: list[tuple[uuid.UUID, Any, bool]],
) -> None:
    run = run_of(uuid.uuid4())
    crashed(run, EVICTED)
    ((name, state, force),) = told
    assert (name, state.type, state.name, force) == (
        *(run.id, StateType.SCHEDULED),
        *("AwaitingRetry", True),
    )
    assert study.on_crashed_hooks == [requeue_if_terminated]


@pytest.mark.parametrize(
    ("deployment", "error"),
    [(None, EVICTED), (uuid.uuid4(), KeyboardInterrupt()), (uuid.uuid4(), ConnectionError("gone"))],
)
def test_any_other_crash_stays_one(
    deployment: uuid.UUID | None,
    error: BaseException,
    told: list[tuple[uuid.UUID, Any, bool]],
) -> None:
    crashed(run_of(deployment), error)
    assert told == []
