"""The page that a study keeps of itself while it runs: its report, in the store and in MLflow."""

import time

from curricle.core.errors import InputError
from curricle.core.store import Store
from curricle.tasks.plans import AnyPlan, report_of
from curricle.tasks.report import REPORT
from curricle.tasks.tracking import Tracker

SECONDS_BETWEEN = 60.0
# Gathering and drawing take seconds on a core that trains meanwhile: at most a hundredth of it.
SHARE = 100


class StudyPage:
    """Writes the page when a stage has ended that has made something, and in between when due.

    A page that can't be written stops no study: `problem` says why the last one is missing.
    """

    def __init__(self, plan: AnyPlan, store: Store, tracker: Tracker) -> None:
        self._plan, self._store, self._tracker = plan, store, tracker
        self._due = time.monotonic() + SECONDS_BETWEEN
        self._stale = store.page(plan.study.name) is None
        self.problem: str | None = None

    def step_made(self) -> None:
        """Something is there that the page doesn't tell yet: write it if it is due."""
        self._stale = True
        if time.monotonic() >= self._due:
            self.write()

    def stage_ended(self) -> None:
        """Let the next step write the page: until there are jobs again it would hold them up."""
        self._due = time.monotonic()

    def write(self) -> None:
        """Write the page now, unless it tells everything."""
        if not self._stale:
            return
        started = time.monotonic()
        try:
            self._write()
            self._stale, self.problem = False, None
        except InputError:
            pass  # a ladder before its first run has nothing to report on
        except Exception as error:  # what is only looked at must not end what is worked on
            self.problem = f"{type(error).__name__}: {error}"
        now = time.monotonic()
        self._due = now + max(SECONDS_BETWEEN, SHARE * (now - started))

    def _write(self) -> None:
        text = report_of(self._plan, self._store)
        self._store.write_page(self._plan.study.name, text)
        self._tracker.log_study({}, {REPORT: text})
