"""Deployments on a real Prefect server, and a run of one by a real worker."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Running

from curricle.core.errors import InputError
from curricle.flows.deploying import Wishes, deploy, differences
from curricle.flows.remains import end_remains
from curricle.flows.server_processes import FILE_LEASES
from curricle.flows.study import study as study_flow

Curricle = Callable[..., subprocess.CompletedProcess[str]]
HOLDER = Path(__file__).with_name("gpu_holder.py")
PREFECT = (sys.executable, "-m", "prefect")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prefect server of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    home = tmp_path_factory.mktemp("prefect")
    process = subprocess.Popen(
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", port],
        env={
            **os.environ,
            "PREFECT_HOME": str(home),
            "PREFECT_UI_URL": f"http://127.0.0.1:{port}",
            "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "2",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": FILE_LEASES,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + 150
    while not answers(address) and time.monotonic() < deadline:
        time.sleep(0.3)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2):
            return True
    except OSError:
        return False


def prefect(api: str, *arguments: str) -> str:
    environment = {**os.environ, "PREFECT_API_URL": api, "PREFECT_CLI_PROMPT": "false"}
    done = subprocess.run(
        [*PREFECT, *arguments], env=environment, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_registering_twice_changes_nothing_and_what_differs_is_told(
    curricle: Curricle, api: str
) -> None:
    def check(*options: str) -> tuple[int, list[str]]:
        done = curricle("deploy", "--check", "--json", *options, PREFECT_API_URL=api)
        return done.returncode, json.loads(done.stdout)["differences"]

    status, before = check()
    assert status == 1
    assert "deployment regression/nightly: missing" in before
    for _ in range(2):
        done = curricle("deploy", "--json", PREFECT_API_URL=api)
        assert done.returncode == 0, done.stderr
        assert "regression/nightly" in json.loads(done.stdout)["deployments"]
        assert check() == (0, [])

    found = asked(f"{api}/deployments/name/regression/nightly")
    asked(
        f"{api}/deployments/{found['id']}",
        {
            "parameters": {"study": "another"},
            "parameter_openapi_schema": {"type": "object", "properties": {}},
            "schedules": [
                {"schedule": {"interval": 86400}, "active": True, "slug": "nightly"},
            ],
        },
    )
    status, (parameters, form, schedules) = check()
    assert status == 1
    assert parameters == (
        "deployment regression/nightly: parameters is {'study': 'another'}, "
        "expected {'study': 'quickstart'}"
    )
    assert form == "deployment regression/nightly: its form isn't that of the flow's parameters"
    assert schedules == (
        "deployment regression/nightly: schedules is ['every 1 day, 0:00:00'], "
        "expected ['0 2 * * * UTC']"
    )


def asked(url: str, change: dict[str, object] | None = None) -> dict[str, str]:
    """The server's answer to a question, or to a change of what lies at `url`."""
    data = None if change is None else json.dumps(change).encode()
    headers = {"Content-Type": "application/json"}
    method = "GET" if change is None else "PATCH"
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        content = answer.read()
    return dict(json.loads(content)) if content else {}


def test_overrides_reach_every_deployment() -> None:
    from curricle.flows.deploying import wanted_deployments

    for item in wanted_deployments(["store=s3://bucket/x"]):
        assert item.parameters["overrides"] == ["store=s3://bucket/x"]
        assert item.flow.name in item.address


@pytest.mark.parametrize("command", ["deploy", "worker"])
def test_without_a_server_there_is_one_line(
    command: str, curricle: Curricle, tmp_path: Path
) -> None:
    home = {"PREFECT_HOME": str(tmp_path)}
    none = curricle(command, **home)
    assert none.returncode == 2
    assert none.stderr.startswith("error: no Prefect server, expected its address in PREFECT_API")
    dead = curricle(command, PREFECT_API_URL="http://127.0.0.1:9/api", **home)
    assert dead.returncode == 1
    assert dead.stderr.startswith("error: Prefect's server at http://127.0.0.1:9/api")


@pytest.fixture
def holders(api: str) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts processes that hold the one GPU of a made-up machine for some seconds."""
    started = []

    def hold(seconds: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(HOLDER), "made-up", seconds],
            env={**os.environ, "PREFECT_API_URL": api},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_jobs_take_turns_on_gpus_and_a_dead_one_keeps_nobody_waiting(
    curricle: Curricle, api: str, holders: Callable[[str], subprocess.Popen[str]]
) -> None:
    assert curricle("deploy", "--gpus", "made-up=1", PREFECT_API_URL=api).returncode == 0
    for number, found in (
        ("1", []),
        ("2", ["concurrency limit curricle-gpus-made-up: is 1, expected 2"]),
    ):
        check = ("deploy", "--check", "--json", "--gpus", f"made-up={number}")
        assert json.loads(curricle(*check, PREFECT_API_URL=api).stdout)["differences"] == found

    # Longer than the lease, which is renewed.
    first = holders("75")
    assert said(first) == "holding"
    second = holders("600")
    assert said(first) == "done"
    ended = time.monotonic()
    assert said(second) == "holding"
    assert time.monotonic() > ended
    second.kill()
    third = holders("0")
    assert [said(third), said(third)] == ["holding", "done"]


def test_gpus_are_named_with_their_number(curricle: Curricle) -> None:
    result = curricle("deploy", "--gpus", "node-7")
    assert result.returncode == 2
    assert result.stderr.startswith("error: --gpus node-7, expected HOST=NUMBER, fix: ")


@pytest.fixture
def webhook() -> Iterator[tuple[str, "queue.Queue[str]"]]:
    """An address on loopback, and what is posted there."""
    posted: queue.Queue[str] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()


def test_the_end_of_a_study_is_told_to_the_block_that_is_named(
    api: str, webhook: tuple[str, "queue.Queue[str]"]
) -> None:
    address, posted = webhook
    wishes = Wishes(gpus={}, notify="custom-webhook/team")
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        with pytest.raises(InputError, match="--notify custom-webhook/team, expected a notif"):
            deploy(wishes)
        content = {"said": "{{subject}} {{body}}"}
        block = CustomWebhookNotificationBlock(
            name="team", url=address, json_data=content, headers=None, cookies=None
        )
        block.save("team")
        for _ in range(2):
            deploy(wishes)
            assert differences(wishes) == []

        study = client.read_deployment_by_name("study/on-demand")
        state: Any = Completed(name="Degraded", message="1 run is missing")
        alone = client.create_flow_run(study_flow, parameters={"study": "by-hand"})
        client.set_flow_run_state(alone.id, state, force=True)
        deployed = client.create_flow_run_from_deployment(study.id, name="study mine")
        client.set_flow_run_state(deployed.id, state, force=True)
        message = posted.get(timeout=120)
        assert "study mine: Degraded 1 run is missing" in message
        assert f"/runs/flow-run/{deployed.id}" in message
        assert posted.empty()

        wanted = wishes.automations(client)[1]
        (known,) = client.read_automations_by_name(wanted.name)
        client.update_automation(known.id, wanted.model_copy(update={"enabled": False}))
        assert differences(wishes) == [f"automation {wanted.name!r}: enabled changed"]
        assert differences(Wishes(gpus={})) == [], "who doesn't ask for it leaves it as it is"


def test_a_worker_needs_a_pool(curricle: Curricle, api: str) -> None:
    done = curricle("worker", "--pool", "moon", PREFECT_API_URL=api)
    assert done.returncode == 2
    assert "no work pool 'moon'" in done.stderr


@pytest.mark.slow
def test_a_worker_runs_a_deployment(
    curricle: Curricle, api: str, tiny_study: Path, tmp_path: Path
) -> None:
    assert curricle("deploy", PREFECT_API_URL=api).returncode == 0
    worker = subprocess.Popen(
        [sys.executable, "-m", "curricle", "worker", "--pool", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "PREFECT_API_URL": api, "PREFECT_HOME": str(tmp_path / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        overrides = json.dumps([f"store={tmp_path / 'store'}"])
        options = ("-p", f"study={tiny_study}", "-p", f"overrides={overrides}")
        prefect(api, "deployment", "run", "prepare/on-demand", *options, "--watch")
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert list((tmp_path / "store" / "dataset").glob("*/*/record.json"))


def test_tasks_of_a_run_that_has_crashed_crash_too(api: str) -> None:
    @flow
    def whole() -> None: ...

    @flow
    def part() -> None: ...

    @flow
    def foreign() -> None: ...

    @task
    def step() -> None: ...

    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        dead, alive, others = (
            client.create_flow_run(kind, state=Running()) for kind in (whole, whole, foreign)
        )
        within = {
            run.id: client.create_task_run(step, run.id, "0", state=Running())
            for run in (dead, alive, others)
        }
        inner = {
            run.id: client.create_flow_run(
                part, parent_task_run_id=within[run.id].id, state=Running()
            )
            for run in (dead, alive, others)
        }
        for run in (dead, others):
            client.set_flow_run_state(run.id, Crashed(), force=True)

        def states(run: FlowRun) -> list[str | None]:
            ids = within[run.id].id, inner[run.id].id
            found = client.read_task_run(ids[0]).state, client.read_flow_run(ids[1]).state
            return [state.name for state in found if state is not None]

        end_remains(client, ["whole", "part"])
        assert states(dead) == ["Running", "Running"], "its last states may be on their way"
        end_remains(client, ["whole", "part"], settled=timedelta(0))
        assert states(dead) == ["Crashed", "Crashed"]
        assert states(alive) == ["Running", "Running"]
        assert states(others) == ["Running", "Running"], "no flow of ours"
