"""What a Prefect server does by itself about our runs: mark dead ones, tell of those that ended."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from curricle.core.errors import InputError
from curricle.tasks.outcome import CHANGED, DEGRADED

SILENCE = timedelta(seconds=90)
FINISHED = ("Completed", DEGRADED, "Failed", CHANGED, "Crashed")
ENDED = (*FINISHED, "Cancelled", "Paused", "Suspended", "AwaitingRetry")
SUBJECT = "{{ flow_run.name }}: {{ flow_run.state.name }}"
# The address is known to a server that has been told its own, in PREFECT_UI_URL.
BODY = "{{ flow_run.state.message or '' }}\n{{ flow_run|ui_url or '' }}"


def wanted_automations(
    client: SyncPrefectClient, flows: Sequence[str], block: str | None
) -> list[AutomationCore]:
    """Those there should be; with a notification `block` one that tells of the `flows`' ends."""
    found = [crashed_automation()]
    return found if block is None else [*found, ended_automation(flows, _block_id(client, block))]


def crashed_automation() -> AutomationCore:
    """Marks a run as crashed that has told it lived, and then neither that nor its end."""
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *_events(ENDED)},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    )
    message = f"No sign of life for {SILENCE.seconds} seconds: the process that ran this is gone."
    action = ChangeFlowRunState(name=None, state=StateType.CRASHED, message=message, force=False)
    return _automation("Curricle: mark dead runs as crashed", trigger, action)


def ended_automation(flows: Sequence[str], block: UUID) -> AutomationCore:
    """Sends the state and the address of a deployed run that has finished, whole or not, or failed.

    The stages of a study are runs too, but not deployed ones.
    """
    trigger = EventTrigger(
        expect=_events(FINISHED),
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=[
            {"prefect.resource.role": "flow", "prefect.resource.name": sorted(flows)},
            {"prefect.resource.role": "deployment"},
        ],
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    action = SendNotification(block_document_id=block, subject=SUBJECT, body=BODY)
    return _automation("Curricle: tell when a study has ended", trigger, action)


def make_automations(client: SyncPrefectClient, wanted: Iterable[AutomationCore]) -> None:
    """Create them, or bring those of the same name up to date."""
    for automation in wanted:
        if known := client.read_automations_by_name(automation.name):
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)


def automation_deviations(
    client: SyncPrefectClient, wanted: Iterable[AutomationCore]
) -> Iterator[str]:
    """What the server has otherwise, a line each."""
    for automation in wanted:
        known = client.read_automations_by_name(automation.name)
        if not known:
            yield f"automation {automation.name!r}: missing"
            continue
        ours, theirs = _comparable(automation), _comparable(known[0])
        changed = ", ".join(key for key in ours if ours[key] != theirs[key])
        if changed:
            yield f"automation {automation.name!r}: {changed} changed"


def _events(states: Iterable[str]) -> set[str]:
    return {f"prefect.flow-run.{state}" for state in states}


def _automation(name: str, trigger: EventTrigger, action: Any) -> AutomationCore:
    return AutomationCore(
        name=name,
        description="Registered by curricle deploy.",
        trigger=trigger,
        actions=[action],
    )


def _comparable(automation: AutomationCore) -> dict[str, Any]:
    """What of it may have been changed by hand."""
    plain = automation.model_dump(mode="json", include={"enabled", "trigger", "actions"})
    for key in ("expect", "after", "for_each"):
        plain["trigger"][key] = sorted(plain["trigger"][key])
    return plain


def _block_id(client: SyncPrefectClient, block: str) -> UUID:
    """The notification block called TYPE/NAME. Raises InputError if there is none."""
    kind, _, name = block.partition("/")
    try:
        return client.read_block_document_by_name(name, kind, include_secrets=False).id
    except ObjectNotFound:
        raise InputError(
            f"--notify {block}",
            expected="a notification block of Prefect's server, as TYPE/NAME",
            fix="make one on its page Blocks; prefect block ls lists them",
        ) from None
