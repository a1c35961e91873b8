"""When steps are made: as soon as what they need is there, and not after one has failed."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.testing.utilities import prefect_test_harness

from curricle.core.errors import JobError
from curricle.tasks.produce import THREADS, produce_all
from curricle.tasks.session import Session, current_session, open_session
from curricle.tasks.step import Step

SECONDS = 60
pytestmark = pytest.mark.slow
Work = Callable[[str], None]
Run = Callable[..., None]


@dataclass(frozen=True)
class Named(Step):
    """Does what the session's results have under "work" with its title."""

    kind: ClassVar[str] = "order"
    verb: ClassVar[str] = "try"
    title: str
    needs: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """Its title."""
        return self.title

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its title alone."""
        return {"title": self.title}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """What it needs."""
        return {step.name: step for step in self.needs}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any] | None:
        """Work, with all inputs there."""
        del folder
        assert all(inputs[step.name].is_dir() for step in self.needs)
        work: Any = session.results["work"]
        work(self.title)
        return None


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=240):
        yield


@pytest.fixture
def run(tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Make steps in a flow, as `work` does."""
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))

    runner: Any = ThreadPoolTaskRunner(max_workers=THREADS)

    @flow(persist_result=False, validate_parameters=False, task_runner=runner)
    def trying(steps: list[Step], work: Work, tolerate: bool) -> None:
        with open_session(str(tiny_study), [f"store={tmp_path / 'store'}"]) as session:
            session.results["work"] = work
            produce_all("trying", steps, tolerate=tolerate)

    def make(steps: list[Step], work: Work, *, tolerate: bool = False) -> None:
        trying(steps, work, tolerate)

    return make


class Diary:
    """Notes which steps are begun; some of them fail."""

    def __init__(self, *failing: str) -> None:
        self.begun: list[str] = []
        self._failing = failing

    def __call__(self, title: str) -> None:
        """Begin a step."""
        self.begun.append(title)
        if title in self._failing:
            raise JobError(f"{title} diverged")


def test_a_step_doesnt_wait_for_the_inputs_of_another(run: Run) -> None:
    is_made = threading.Event()

    def work(title: str) -> None:
        if title == "slow-input":
            assert is_made.wait(SECONDS)
        if title == "first":
            is_made.set()

    run([Named("second", (Named("slow-input"),)), Named("first", (Named("input"),))], work)
    assert is_made.is_set()


def test_what_others_need_comes_before_what_is_wanted(run: Run) -> None:
    is_made = threading.Event()
    late = Named("late", (Named("second-input", (Named("first-input"),)),))

    def work(title: str) -> None:
        if title == "second-input":
            is_made.set()
        elif title.startswith("wanted"):
            assert is_made.wait(SECONDS)

    run([*(Named(f"wanted-{number}") for number in range(2 * THREADS)), late], work)
    assert is_made.is_set()


def test_what_two_need_is_made_once_and_before_them(run: Run) -> None:
    diary, shared = Diary(), Named("shared")
    run([Named("one", (shared,)), Named("two", (shared,))], diary)
    assert diary.begun[0] == "shared"
    assert sorted(diary.begun[1:]) == ["one", "two"]


def test_after_a_failed_input_nothing_is_begun(run: Run) -> None:
    diary = Diary("input")
    late = Named("late", (Named("later", (Named("input"),)),))
    with pytest.raises(JobError, match="input diverged"):
        run([late], diary, tolerate=True)
    assert diary.begun == ["input"]


def test_the_others_are_made_where_one_may_fail(run: Run) -> None:
    diary = Diary("one")
    run([Named("one"), Named("two", (Named("input"),))], diary, tolerate=True)
    assert sorted(diary.begun) == ["input", "one", "two"]


def test_failures_are_told_in_the_order_of_the_steps(run: Run) -> None:
    told = dict[str, str]()

    def work(title: str) -> None:
        nonlocal told
        told = current_session().failures
        deadline = time.monotonic() + SECONDS
        while title == "first" and "second" not in told and time.monotonic() < deadline:
            time.sleep(0.01)
        raise JobError(f"{title} diverged")

    run([Named("first"), Named("second")], work, tolerate=True)
    assert list(told) == ["first", "second"]
