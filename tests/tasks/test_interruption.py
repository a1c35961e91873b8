"""What ends a study from outside, and what a study tries again."""

import logging
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prefect import flow
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.testing.utilities import prefect_test_harness

from curricle.core.errors import InputError, JobError, LostWorkerError
from curricle.tasks import session as session_module
from curricle.tasks.produce import RETRIES, produce_all
from curricle.tasks.session import Session, open_session
from curricle.tasks.step import Step

Open = tuple[str, list[str]]


@pytest.fixture
def study(tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))
    return str(tiny_study), [f"store={tmp_path / 'store'}"]


def end_inner_flow(study: Open, reason: BaseException) -> None:
    with open_session(*study):
        raise reason


def test_sigterm_in_an_inner_flow_stops_the_session_there(study: Open) -> None:
    reason = TerminationSignal(signal=signal.SIGTERM)
    with open_session(*study) as session:
        under_way = session.engine.map(abs, [-1])
        with pytest.raises(TerminationSignal):
            end_inner_flow(study, reason)
        assert session.first_error is reason
        with pytest.raises(JobError, match="stopped on request"):
            list(under_way)


def test_an_error_is_no_end_from_outside(study: Open) -> None:
    with open_session(*study) as session:
        with pytest.raises(InputError):
            end_inner_flow(study, InputError("a", expected="b", fix="c"))
        assert session.first_error is None
        assert list(session.engine.map(abs, [-1])) == [1]


def test_a_deployed_runs_log_says_what_mlflow_lacks(
    study: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_module, "get_run_logger", lambda: logging.getLogger("run"))
    monkeypatch.setattr(FlowRunContext, "get", object)
    with open_session(*study) as session:
        session.tracker.failures += [f"run {number}: no answer" for number in range(5)]
    assert "Not logged to MLflow: run 0: no answer; run 1: no answer; run 2: no" in caplog.text
    assert "run 3" not in caplog.text


@dataclass(frozen=True)
class Flaky(Step):
    """Fails with `errors`, one after the other, and then is made."""

    kind: ClassVar[str] = "order"
    verb: ClassVar[str] = "try"
    errors: tuple[Exception, ...]

    @property
    def name(self) -> str:
        """Its errors, which tell one case of the test from another."""
        return "-".join(type(error).__name__ for error in self.errors)

    @property
    def spec(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any] | None:
        """Raise the next error, if there is one left."""
        del inputs, folder
        tried = int(str(session.results.get(self.name, 0)))
        session.results[self.name] = tried + 1
        if tried < len(self.errors):
            raise self.errors[tried]
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=240):
        yield


LOST = LostWorkerError("killed")


@pytest.mark.slow
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("errors", "tries", "made"),
    [
        ((LOST,), 2, True),
        ((LOST,) * (RETRIES + 1), RETRIES + 1, False),
        ((JobError("diverged"),), 1, False),
        ((InputError("a", expected="b", fix="c"),), 1, False),
    ],
    ids=["killed once", "killed again and again", "diverged", "wrong study"],
)
def test_a_lost_worker_alone_is_a_reason_to_try_again(
    errors: tuple[Exception, ...], tries: int, made: bool, study: Open
) -> None:
    step = Flaky(errors)

    @flow(persist_result=False)
    def trying() -> None:
        with open_session(*study) as session:
            try:
                produce_all("trying", [step])
            finally:
                assert session.results[step.name] == tries
                assert session.store.exists(step.artifact) is made

    if made:
        trying()
    else:
        with pytest.raises(type(errors[-1])):
            trying()
