"""The quickstart on a team's servers, started by hand and by the clock, and what pages show of it.

`CURRICLE_PICTURES` names a folder that keeps pictures of the pages.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.browser import CHROMIUM, SIZE, User, user_of
from tests.integration.faults import ENDED
from tests.integration.full_platform import BUCKET, FullPlatform, full_platform, missing

from curricle.recipes.loading import load_study

DEPLOYMENT = "study/on-demand"
# The quickstart's recipes and proxies; what comes after the ranking is smaller.
OVERRIDES = (
    f"store=s3://{BUCKET}/curricle",
    "corpora.environment.megabytes_per_domain=0.4",
    "target.num_layers=2",
    "target.width=64",
    "target.num_heads=2",
    "target.tokens=32000",
    "scoring.tokens=32000",
    "evaluation.tokens_per_domain=2048",
)
STUDY = load_study("quickstart", OVERRIDES)
DOMAINS = ("docstrings", "headers", "javascript", "licences", "prose", "python")
LOSSES = """
select runs.name, latest_metrics.key, latest_metrics.value
from latest_metrics join runs on runs.run_uuid = latest_metrics.run_uuid
join experiments on experiments.experiment_id = runs.experiment_id
where experiments.name = :study and latest_metrics.key like 'validation/loss/%'
"""
RUN_SECONDS = 2400
# A busy machine takes its time to hear of a schedule; what has begun by then comes a day later.
SCHEDULE_LEAD = timedelta(seconds=150)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * RUN_SECONDS)]


@pytest.fixture(scope="module")
def platform() -> Iterator[FullPlatform]:
    if reason := missing() or ("" if CHROMIUM else "Debian's chromium isn't installed"):
        pytest.skip(reason)
    with full_platform() as found:
        found.curricle("deploy", *(word for item in OVERRIDES for word in ("--set", item)))
        yield found


@pytest.fixture(scope="module")
def by_hand(platform: FullPlatform) -> str:
    """The id of a flow run that somebody has started, and that has ended well."""
    told = prefect(platform, "deployment", "run", DEPLOYMENT, "--param", "study=quickstart")
    run = re.findall(r"UUID: (\S+)", told)[0]
    assert end_of(platform, run) == "Completed", platform.parts["worker"].told()
    return run


@pytest.fixture
def user(platform: FullPlatform, by_hand: str, tmp_path: Path) -> Iterator[User]:
    pictures = Path(os.environ.get("CURRICLE_PICTURES", tmp_path))
    with user_of(platform, pictures) as found:
        yield found


def prefect(platform: FullPlatform, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        env={**os.environ, **platform.environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def end_of(platform: FullPlatform, run: str) -> str:
    """The state that a flow run ends in."""
    deadline = time.monotonic() + RUN_SECONDS
    while (state := platform.state(run)) not in ENDED:
        assert time.monotonic() < deadline, f"{state}: {platform.parts['worker'].told()}"
        time.sleep(1)
    return state


def run_page(platform: FullPlatform, run: str) -> str:
    """Address of a flow run's page, in the user interface that Prefect opens by itself."""
    return f"{platform.environment['PREFECT_API_URL'].removesuffix('/api')}/v2/runs/flow-run/{run}"


def mlflow_run(platform: FullPlatform) -> tuple[str, str]:
    """Ids of the study's experiment and run."""
    question = """
    select experiments.experiment_id, runs.run_uuid
    from runs join experiments on experiments.experiment_id = runs.experiment_id
    where experiments.name = :study and runs.name = :study
    """
    ((experiment, run),) = platform.query_mlflow(question, STUDY.name)
    return str(experiment), str(run)


def test_the_clock_starts_the_same_deployment(platform: FullPlatform, by_hand: str) -> None:
    start = datetime.now(UTC) + SCHEDULE_LEAD
    schedule = ("--interval", "86400", "--anchor-date", start.strftime("%Y-%m-%dT%H:%M:%S"))
    prefect(platform, "deployment", "schedule", "create", DEPLOYMENT, *schedule)
    before = platform.stored_objects().keys()
    run = first_scheduled(platform, start)
    assert run["parameters"]["overrides"] == list(OVERRIDES)
    assert end_of(platform, run["id"]) == "Completed"
    added = platform.stored_objects().keys() - before
    assert not [name for name in added if name.endswith("record.json")]


def first_scheduled(platform: FullPlatform, start: datetime) -> dict[str, Any]:
    """The flow run that a schedule has made for the moment `start`."""
    question = {
        "flow_runs": {"expected_start_time": {"before_": (start + SCHEDULE_LEAD).isoformat()}},
        "deployments": {"name": {"any_": [DEPLOYMENT.split("/")[1]]}},
    }
    deadline = time.monotonic() + 300
    while True:
        with platform.api as api:
            runs = api.post("/flow_runs/filter", json=question).raise_for_status().json()
        for run in runs:
            if (run["created_by"] or {}).get("type") == "SCHEDULE":
                return dict(run)
        assert time.monotonic() < deadline, "the schedule starts nothing"
        time.sleep(1)


def test_prefect_shows_a_green_run_with_its_artifacts(
    platform: FullPlatform, by_hand: str, user: User
) -> None:
    page = user.page
    page.goto(run_page(platform, by_hand))
    for text in ("study quickstart", "Completed", "cpu", "on-demand"):
        user.sees(text)
    page.get_by_role("tab", name="Artifacts").click()
    for what in ("ranking", "summary", "mlflow", "report"):
        user.sees(f"quickstart-{what}")
    user.sees_green("canvas")
    user.take_picture("prefect-run")
    user.open_artifact("quickstart-ranking")
    for name in ranked_recipes():
        page.get_by_role("cell", name=name, exact=True).wait_for()
    user.take_picture("prefect-ranking")
    page.goto(run_page(platform, by_hand))
    user.open_artifact("quickstart-summary")
    user.sees(re.compile("Recipes at the tiny rate"))


def ranked_recipes() -> list[str]:
    """All but the one that differs in order alone, which a tiny rate can't rank."""
    return [name for name, recipe in STUDY.recipes.items() if recipe.order is None]


def test_mlflow_compares_all_recipes(platform: FullPlatform, user: User) -> None:
    experiment, _ = mlflow_run(platform)
    address = f"{platform.environment['MLFLOW_TRACKING_URI']}/#/experiments/{experiment}"
    question = "tags.stage = 'proxy' and tags.seed = '0' and tags.learning_rate = '0.002'"
    user.compare(address, question, len(STUDY.recipes))
    user.plot("validation/loss/average")
    user.take_picture("mlflow-compare")
    # Columns beyond the window's edge aren't drawn.
    user.page.set_viewport_size({"width": 3 * SIZE[0], "height": 3 * SIZE[1]})
    user.sees("validation/loss/python")
    recipes = re.findall(r"proxy (\S+), rate 0\.002, seed 0", user.page.inner_text("body"))
    assert sorted(recipes) == sorted(STUDY.recipes)
    logged = losses_at(platform, "rate 0.002, seed 0")
    metrics = {metric for _, metric in logged}
    assert metrics == {f"validation/loss/{name}" for name in (*DOMAINS, "average")}
    for metric in metrics:
        expected = [logged[f"proxy {name}, rate 0.002, seed 0", metric] for name in recipes]
        assert user.compared(metric) == pytest.approx(expected, abs=1e-3)


def losses_at(platform: FullPlatform, ending: str) -> dict[tuple[str, str], float]:
    """Held-out losses of the proxies whose names end so, by name and metric."""
    rows = platform.query_mlflow(LOSSES, STUDY.name)
    return {
        (str(name), str(metric)): float(str(value))
        for name, metric, value in rows
        if str(name).startswith("proxy") and str(name).endswith(ending)
    }


def test_the_report_opens_from_prefect(platform: FullPlatform, by_hand: str, user: User) -> None:
    user.page.goto(run_page(platform, by_hand))
    user.open_artifact("quickstart-report")
    user.follow("The study's report")
    report = user.report()
    headings = report.locator("h1, h2").all_inner_texts()
    assert headings[0] == "quickstart"
    assert {"Recipes", "Curricula", "Perplexity", "Scores", "Cost", "Provenance"} <= {*headings}
    assert report.locator("figure svg, figure img").count() > 3
    user.take_picture("mlflow-report")


def test_prefect_and_mlflow_link_to_each_other(
    platform: FullPlatform, by_hand: str, user: User
) -> None:
    user.page.goto(run_page(platform, by_hand))
    user.open_artifact("quickstart-mlflow")
    user.follow("The study's runs in MLflow")
    _, run = mlflow_run(platform)
    assert run in user.page.url
    user.sees("Prefect's flow run")
    user.sees(f"{len(STUDY.recipes)}")
    user.take_picture("mlflow-study")
    user.follow("Prefect's flow run")
    user.sees("study quickstart")
    user.sees("Completed")
