"""Runs a command in the pods of worker-nodes, all at once: `python launch.py NODES COMMAND...`.

It is what `CURRICLE_LAUNCHER` names in these pods. Once one of the commands has failed, or standard
input has ended, or on SIGTERM, the standard input of all of them is closed, at which they end.
Exits with 1 if one has failed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

READY_SECONDS = 600
# Connections over which nothing is sent are cut sooner or later.
SIGN_OF_LIFE_SECONDS = 30.0
END_SECONDS = 90.0


def main() -> None:
    """Run the command of this process's arguments."""
    count, command = int(sys.argv[1]), sys.argv[2:]
    pods = [f"worker-nodes-{number}" for number in range(count)]
    wait = ["kubectl", "wait", "--for=condition=Ready", f"--timeout={READY_SECONDS}s"]
    names = [f"pod/{pod}" for pod in pods]
    if subprocess.run([*wait, *names], stdin=subprocess.DEVNULL).returncode:
        sys.exit(f"not all of {', '.join(pods)} are ready")
    nodes = {pod: _start(["kubectl", "exec", "-i", pod, "--", *command]) for pod in pods}
    _wait_for_an_end(nodes)
    failed = _end(nodes)
    if failed:
        sys.exit(f"failed in {', '.join(failed)}")


def _start(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)


def _wait_for_an_end(nodes: dict[str, "subprocess.Popen[bytes]"]) -> None:
    """Until one has failed or all have ended, or this process is to end."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    threading.Thread(target=_read_to_end, args=(asked,), daemon=True).start()
    told = time.monotonic()
    while any(node.poll() is None for node in nodes.values()) and not asked.wait(0.2):
        if any(node.poll() for node in nodes.values()):
            return
        if time.monotonic() - told > SIGN_OF_LIFE_SECONDS:
            told = time.monotonic()
            for node in nodes.values():
                with contextlib.suppress(OSError):
                    _input(node).write(b"\n")


def _read_to_end(ended: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    ended.set()


def _end(nodes: dict[str, "subprocess.Popen[bytes]"]) -> list[str]:
    """Let all of them end; the pods in which the command failed."""
    for node in nodes.values():
        _input(node).close()
    deadline = time.monotonic() + END_SECONDS
    for node in nodes.values():
        try:
            node.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
    return [pod for pod, node in nodes.items() if node.returncode]


def _input(node: "subprocess.Popen[bytes]") -> Any:
    assert node.stdin is not None
    return node.stdin


if __name__ == "__main__":
    main()
