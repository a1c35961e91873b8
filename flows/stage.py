"""How every stage's flow is made: named, run on threads, and run once per session."""

from collections.abc import Callable, Sequence
from typing import Any

from prefect import Flow, flow
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.urls import url_for

from curricle.core.errors import JobError
from curricle.flows.artifacts import show_link
from curricle.tasks.outcome import DEGRADED, describe_failures
from curricle.tasks.page import StudyPage
from curricle.tasks.places import check_devices
from curricle.tasks.plans import plan_of
from curricle.tasks.produce import THREADS
from curricle.tasks.registry import register
from curricle.tasks.report import REPORT
from curricle.tasks.session import Session, open_session
from curricle.tasks.spending import check_budget

# Prefect's form for starting a run shows these.
_PARAMETERS = """Args:
    study: Name of a shipped study, or path of a study file on the worker.
    overrides: Keys of the study to override, such as proxy.tokens=200000.
"""

# A flow's body knows which form of study it is for.
StageBody = Callable[[Session, Any], Any]
StageFlow = Flow[..., Any]


def stage(
    name: str, after: Sequence[StageFlow] = (), example: str = "quickstart"
) -> Callable[[StageBody], StageFlow]:
    """Make a Prefect flow of a function of (session, plan).

    The flow takes the study (a path or a shipped study's name) and `--set` overrides. The stages in
    `after` run before it, unless this session has run them. `example` is the study that it runs
    unless it is given one.
    """

    def decorate(body: StageBody) -> StageFlow:
        def run(study: str = example, overrides: list[str] | None = None) -> Any:
            with open_session(study, overrides or []) as session:
                if name != "prepare":
                    check_devices(session.study)
                plan: Any = session.results.setdefault("plan", plan_of(session.study))
                check_budget(plan, session.store)
                if "flow" not in session.results:
                    session.results["flow"] = name
                    run_id = flow_run.get_id()
                    address = url_for("flow-run", obj_id=run_id, url_type="ui")
                    session.tracker.follow_flow(str(run_id), address)
                    session.results["page"] = StudyPage(plan, session.store, session.tracker)
                    session.step_made = page_of(session).step_made
                for earlier in after:
                    if earlier.name not in session.results:
                        earlier(study, overrides)
                register(plan, session.store)
                session.results[name] = body(session, plan)
                register(plan, session.store)
                if session.results["flow"] == name:
                    page_of(session).write()
                else:
                    page_of(session).stage_ended()
                _link_to_mlflow(session)
                return _degraded(session) or session.results[name]

        run.__doc__ = f"{body.__doc__}\n\n{_PARAMETERS}"
        runner: Any = ThreadPoolTaskRunner(max_workers=THREADS)
        return flow(
            name=name,
            flow_run_name=f"{name} {{study}}",
            task_runner=runner,
            persist_result=False,
        )(run)

    return decorate


def _link_to_mlflow(session: Session) -> None:
    """Show on Prefect's page where MLflow's is, and the report on it, if a server has one."""
    study, tracker = session.study.name, session.tracker
    if address := tracker.page():
        show_link(study, "mlflow", address, "The study's runs in MLflow")
    if address := tracker.page(f"/artifacts/{REPORT}"):
        show_link(study, "report", address, "The study's report")


def nothing_left(session: Session, what: str) -> JobError:
    """The error of a stage that too many of its runs failed for: `what`, and the first of them."""
    label, reason = next(iter(session.failures.items()), ("no run", "there is none"))
    return JobError(f"{what}: {label}: {reason}")


def page_of(session: Session) -> StudyPage:
    """The page of the study at work."""
    page = session.results["page"]
    assert isinstance(page, StudyPage)
    return page


def _degraded(session: Session) -> Any:
    """The state of a flow that goes on without some runs; None if none is missing."""
    if not session.failures:
        return None
    return Completed(name=DEGRADED, message=describe_failures(session.failures))
