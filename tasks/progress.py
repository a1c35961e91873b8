"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 15.0


class ProgressDisplay:
    """One bar per stage; safe to call from several threads."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        self._bars = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def tell(self, line: str) -> None:
        """Print a line, above the bars where there are any."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def stage(self, name: str, total: int) -> "Stage":
        """A new stage of `total` pieces of work."""
        bar = self._bars.add_task(name, total=total)
        return Stage(self._bars, bar, name, total, plain=not self._console.is_terminal)


class Stage:
    """Counts finished pieces of one stage."""

    def __init__(self, bars: Progress, bar: TaskID, name: str, total: int, *, plain: bool) -> None:
        self._bars, self._bar, self._name, self._total = bars, bar, name, total
        self._plain = plain
        self._done = 0
        self._printed = self._started = time.monotonic()
        self._lock = threading.Lock()

    def advance(self) -> None:
        """One more piece is finished."""
        with self._lock:
            self._done += 1
            self._bars.update(self._bar, completed=self._done)
            if self._plain:
                self._print()

    def _print(self) -> None:
        now = time.monotonic()
        if self._done < self._total and now - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = now
        elapsed = now - self._started
        line = f"{self._name:<34} {self._done}/{self._total}  {elapsed:.0f} s"
        print(line, file=sys.stderr, flush=True)
