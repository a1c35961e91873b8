"""A small study on PostgreSQL, S3, Prefect, MLflow and a worker: faults, secrets, two people."""

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.faults import (
    FAULTS,
    UNDISTURBED,
    Fault,
    Outcome,
    end_the_worker,
    look_at,
    problems,
    run_under,
    wait_for_end,
    write_study,
)
from tests.integration.full_platform import SECRETS, FullPlatform, full_platform, missing
from tests.integration.parts import descendants
from tests.integration.postgres import DATABASES, dump

STUDY = "study/on-demand"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def platform() -> Iterator[FullPlatform]:
    if reason := missing():
        pytest.skip(reason)
    with full_platform() as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(platform: FullPlatform) -> Outcome:
    return run_under(platform, UNDISTURBED, STUDY)


def test_nothing_is_wrong_undisturbed(undisturbed: Outcome) -> None:
    assert undisturbed.states == ["Completed"]
    assert problems(undisturbed, undisturbed) == []
    assert len(undisturbed.points) > 100


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_changes_no_number(
    fault: Fault, platform: FullPlatform, undisturbed: Outcome
) -> None:
    if fault.name == "disk-full" and not platform.scratch_can_fill:
        pytest.skip("mounting a small disk takes rights")
    assert problems(run_under(platform, fault, STUDY), undisturbed) == []


def test_two_people_who_start_a_study_at_once_build_each_artifact_once(
    platform: FullPlatform, undisturbed: Outcome
) -> None:
    outcome = Outcome("two-people")
    study = write_study(platform, outcome.name)
    runs = [platform.start_run(study, STUDY) for _ in range(2)]
    outcome.states = [wait_for_end(platform, run, outcome) for run in runs]
    assert outcome.states == ["Completed", "Completed"]
    look_at(platform, study, outcome)
    assert problems(outcome, undisturbed) == []


def test_long_jobs_leave_snapshots_when_their_machine_or_their_run_is_taken_away(
    platform: FullPlatform,
) -> None:
    study = write_study(platform, "long", tokens=50_000_000)
    begun = time.time()
    run = platform.start_run(study, "rank/on-demand")
    wait_for(lambda: steps_logged(platform, begun) > 2, "a job trains")
    end_the_worker(platform)
    begun = time.time()
    evicted = snapshots(platform)
    assert evicted
    wait_for(lambda: platform.state(run) == "Running", "the run goes on")
    wait_for(lambda: steps_logged(platform, begun) > 2, "a job trains")
    with platform.api as api:
        state = {"state": {"type": "CANCELLING"}, "force": True}
        api.post(f"/flow_runs/{run}/set_state", json=state).raise_for_status()
    wait_for(lambda: platform.state(run) == "Cancelled", "the run is cancelled")
    wait_for(lambda: not platform.lives(run), "its processes are gone")
    assert set(snapshots(platform)) - set(evicted)


def steps_logged(platform: FullPlatform, since: float) -> int:
    """Lines of metrics that a job has written in the scratch folder, and it after `since`."""
    lines = 0
    for path in (platform.folder / "scratch").rglob("metrics.jsonl"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime > since:
                lines = max(lines, len(path.read_text().splitlines()))
    return lines


def snapshots(platform: FullPlatform) -> list[str]:
    """Names of the unfinished jobs' states, whose last parts are steps."""
    names = platform.stored_objects()
    return [name for name in names if "/.unfinished/" in name and name.endswith(".safetensors")]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.5)


def test_no_secret_is_written_anywhere(platform: FullPlatform, undisturbed: Outcome) -> None:
    places = places_to_search(platform)
    for name in ("Prefect's database", "MLflow's database", "worker/log"):
        assert undisturbed.name.encode() in places[name], f"{name} tells nothing of the study"
    assert any(name.endswith("record.json") for name in places)
    found = [
        f"{secret} in {name}"
        for name, content in places.items()
        for secret, forms in written_forms().items()
        if any(form in content for form in forms)
    ]
    assert found == []


def places_to_search(platform: FullPlatform) -> dict[str, bytes]:
    """All that servers, runs and people leave behind, by a name to tell it by."""
    folder = platform.folder
    names = ("prefect", "mlflow", "worker", "scratch", "prefect-home", ".curricle")
    files = [path for name in names for path in (folder / name).rglob("*") if path.is_file()]
    places = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    del places["mlflow/basic_auth.ini"]  # what MLflow is given
    places |= platform.stored_objects()
    password = SECRETS["database password"]
    for name in DATABASES:
        server = {"prefect": "Prefect", "mlflow": "MLflow"}[name]
        places[f"{server}'s database"] = dump(platform.database_port, name, password)
    for part in platform.parts.values():
        for process in (part.process.pid, *descendants(part.process.pid)):
            command = Path("/proc", str(process), "cmdline")
            places[f"command of {part.name} {process}"] = command.read_bytes()
    return places


def written_forms() -> dict[str, list[bytes]]:
    """Each secret as it is, and as HTTP sends a password."""
    return {
        name: [value.encode(), base64.b64encode(f"team:{value}".encode())]
        for name, value in SECRETS.items()
    }
