"""One server or worker of a platform: started, killed, started again."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STARTUP_SECONDS = 300


@dataclass
class Part:
    """A process, what it writes to `log`, and how to tell that it is up.

    `environment` is added to this process' own.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_up: Callable[[], bool]
    log: Path
    user: str | None = None

    def start(self) -> None:
        """Start it; it need not answer yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                cwd=self.log.parent,
                stdout=log,
                stderr=log,
                user=self.user,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it is up."""
        deadline = time.monotonic() + STARTUP_SECONDS
        while not self.is_up():
            assert self.process.poll() is None, f"{self.name} has ended: {self.told()}"
            assert time.monotonic() < deadline, f"{self.name} doesn't answer: {self.told()}"
            time.sleep(0.2)

    def kill(self, *, children: bool = True) -> None:
        """SIGKILL for the process and, unless told otherwise, all that it has started."""
        kill([self.process.pid, *(descendants(self.process.pid) if children else ())])
        self.process.wait()

    def told(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]


def listens(address: str) -> bool:
    """Whether a server answers there, if only with an error."""
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def descendants(pid: int) -> Iterator[int]:
    """The processes that `pid` and its children have started and that still live."""
    with contextlib.suppress(OSError):
        for task in Path("/proc", str(pid), "task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from descendants(child)


def kill(processes: Sequence[int]) -> None:
    """SIGKILL for each that still lives."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
