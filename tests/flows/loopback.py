"""Ports, pages and processes of servers on this machine."""

import contextlib
import socket
import urllib.request
from pathlib import Path


def free_port() -> int:
    """A port that nothing listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in opened]


def answers(url: str) -> bool:
    """Whether something is there."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def prefect_servers(folder: Path) -> list[str]:
    """Ids of the processes that serve Prefect over the database in `folder`."""
    home = f"PREFECT_HOME={folder / 'store' / 'prefect'}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            serves = b"prefect.server.api" in (process / "cmdline").read_bytes()
            if serves and home in (process / "environ").read_bytes():
                found.append(process.name)
    return found
