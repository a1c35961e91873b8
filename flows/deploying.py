"""Registers Curricle's work pools, deployments, limits and automations with a Prefect server.

What there should be stands in `prefect.yaml` beside this file. Registering it again changes nothing
that is so already, and `differences` says what isn't.
"""

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker
from ruamel.yaml import YAML

from curricle.core.errors import CurricleError, InputError
from curricle.flows.automations import (
    automation_deviations,
    make_automations,
    wanted_automations,
)
from curricle.flows.limits import limit_deviations, make_limits
from curricle.tasks.gpus import own_gpus

PREFECT_FILE = Path(__file__).with_name("prefect.yaml")


@dataclass(frozen=True)
class Deployment:
    """One deployment as it should be; `schedules` are (cron, timezone, slug)."""

    name: str
    entrypoint: str
    description: str
    parameters: Mapping[str, Any]
    work_pool: str
    job_variables: Mapping[str, Any]
    schedules: tuple[tuple[str, str, str], ...]

    @property
    def flow(self) -> Any:
        """The flow it runs."""
        module, name = self.entrypoint.split(":")
        return getattr(importlib.import_module(module), name)

    @property
    def flow_name(self) -> str:
        """Its flow's name; unlike `flow` it imports nothing."""
        return self.entrypoint.rsplit(":")[-1]

    @property
    def address(self) -> str:
        """Flow and deployment, as Prefect writes them: regression/nightly."""
        return f"{self.flow_name}/{self.name}"

    def comparable(self) -> dict[str, Any]:
        """What `differences` compares."""
        return {
            "entrypoint": self.entrypoint,
            "description": self.description,
            "parameters": dict(self.parameters),
            "work pool": self.work_pool,
            "job variables": dict(self.job_variables),
            "form": self.form,
            "schedules": sorted(f"{cron} {zone}" for cron, zone, _ in self.schedules),
        }

    @property
    def form(self) -> dict[str, Any]:
        """The schema of the flow's parameters, from which Prefect makes its form."""
        return parameter_schema(self.flow).model_dump(exclude_unset=True)


def wanted_deployments(overrides: Sequence[str] = ()) -> tuple[Deployment, ...]:
    """The deployments of `prefect.yaml`, whose studies all get `overrides`."""
    tree = YAML(typ="safe").load(PREFECT_FILE.read_text(encoding="utf-8"))
    return tuple(_deployment(entry, overrides) for entry in tree["deployments"])


@dataclass(frozen=True)
class Wishes:
    """What is registered besides `prefect.yaml`.

    All studies get `overrides`. `gpus` says how many each machine has; None: this one's. `notify`
    names a notification block, TYPE/NAME, that tells when a study has ended.
    """

    overrides: Sequence[str] = ()
    gpus: Mapping[str, int] | None = None
    notify: str | None = None

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """The deployments."""
        return wanted_deployments(self.overrides)

    @property
    def limits(self) -> Mapping[str, int]:
        """GPUs by machine."""
        return own_gpus() if self.gpus is None else self.gpus

    def automations(self, client: SyncPrefectClient) -> list[AutomationCore]:
        """The automations; raises InputError if the server has no such block."""
        flows = {item.flow.name for item in self.deployments}
        return wanted_automations(client, sorted(flows), self.notify)


def deploy(wishes: Wishes) -> list[str]:
    """Register everything; returns the deployments' addresses.

    Raises InputError without a server's address or a block that is named, CurricleError if the
    server doesn't answer.
    """
    wanted = wishes.deployments
    with configured_server() as client:
        automations = wishes.automations(client)
        for pool in sorted({item.work_pool for item in wanted}):
            _make_pool(client, pool)
        for item in wanted:
            _register(client, item)
        make_limits(client, wishes.limits)
        make_automations(client, automations)
    return [item.address for item in wanted]


def differences(wishes: Wishes) -> list[str]:
    """What the server has otherwise than `deploy` makes it, a line each; raises as that does."""
    wanted = wishes.deployments
    with configured_server() as client:
        pools = sorted({item.work_pool for item in wanted})
        found = [f"work pool {pool}: missing" for pool in pools if not has_pool(client, pool)]
        found += [line for item in wanted for line in _deviations(client, item)]
        found += limit_deviations(client, wishes.limits)
        found += automation_deviations(client, wishes.automations(client))
    return found


def _deployment(entry: Mapping[str, Any], overrides: Sequence[str]) -> Deployment:
    parameters = dict(entry.get("parameters", {}))
    if overrides:
        parameters["overrides"] = [*parameters.get("overrides", []), *overrides]
    return Deployment(
        name=entry["name"],
        entrypoint=entry["entrypoint"],
        description=entry["description"],
        parameters=parameters,
        work_pool=entry["work_pool"]["name"],
        job_variables=entry["work_pool"]["job_variables"],
        schedules=tuple(
            (item["cron"], item["timezone"], item["slug"]) for item in entry.get("schedules", ())
        ),
    )


@contextlib.contextmanager
def configured_server() -> Iterator[SyncPrefectClient]:
    """A client of the configured server, whose absence is one clear line."""
    address = PREFECT_API_URL.value()
    if not address:
        raise InputError(
            "no Prefect server",
            expected="its address in PREFECT_API_URL",
            fix="start one with curricle up, then export PREFECT_API_URL=http://HOST:PORT/api",
        )
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, RuntimeError) as error:
        raise CurricleError(f"Prefect's server at {address}: {error}") from None


def has_pool(client: SyncPrefectClient, pool: str) -> bool:
    """Whether the server knows a work pool of that name."""
    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        return False
    return True


def _make_pool(client: SyncPrefectClient, pool: str) -> None:
    """Make the pool unless there is one: a team may have made it of another type on purpose."""
    if not has_pool(client, pool):
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(
            WorkPoolCreate(name=pool, type=ProcessWorker.type, base_job_template=template)
        )


def _register(client: SyncPrefectClient, item: Deployment) -> None:
    client.create_deployment(
        flow_id=client.create_flow_from_name(item.flow.name),
        name=item.name,
        description=item.description,
        entrypoint=item.entrypoint,
        parameters=dict(item.parameters),
        parameter_openapi_schema=item.form,
        enforce_parameter_schema=True,
        schedules=[
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron=cron, timezone=zone), active=True, slug=slug
            )
            for cron, zone, slug in item.schedules
        ],
        work_pool_name=item.work_pool,
        job_variables=dict(item.job_variables),
        pull_steps=[],
    )


def _deviations(client: SyncPrefectClient, item: Deployment) -> Iterator[str]:
    try:
        registered = _comparable(client.read_deployment_by_name(item.address))
    except ObjectNotFound:
        yield f"deployment {item.address}: missing"
        return
    for key, value in item.comparable().items():
        if registered[key] == value:
            continue
        if key == "form":  # too long to show
            yield f"deployment {item.address}: its form isn't that of the flow's parameters"
        else:
            yield f"deployment {item.address}: {key} is {registered[key]!r}, expected {value!r}"


def _comparable(found: DeploymentResponse) -> dict[str, Any]:
    """The same as `Deployment.comparable`, of what the server has."""
    return {
        "entrypoint": found.entrypoint,
        "description": found.description,
        "parameters": found.parameters,
        "work pool": found.work_pool_name,
        "job variables": found.job_variables,
        "form": found.parameter_openapi_schema,
        "schedules": sorted(
            _when(item.schedule) if item.active else "paused" for item in found.schedules
        ),
    }


def _when(schedule: SCHEDULE_TYPES) -> str:
    if isinstance(schedule, CronSchedule):
        return f"{schedule.cron} {schedule.timezone}"
    return f"every {schedule.interval}" if isinstance(schedule, IntervalSchedule) else str(schedule)
