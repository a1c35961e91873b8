"""What starts a job on several nodes: the command that the worker's environment names."""

import os
import shlex
import shutil
import socket
import uuid

from curricle.core.errors import InputError

LAUNCHER = "CURRICLE_LAUNCHER"
HEAD_ADDRESS = "CURRICLE_HEAD_ADDRESS"


def launcher() -> list[str]:
    """The words before a command that run it once on every node, with the same standard input.

    They stand in the environment of the worker, since a study can't say what is executed. Raises
    InputError if there are none, or none that can be run.
    """
    text = os.environ.get(LAUNCHER, "")
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words or shutil.which(words[0]) is None:
        raise InputError(
            f"hardware.nodes above 1, and {LAUNCHER} is {text!r}",
            expected="a command that starts another one on every node, such as srun --nodes=2",
            fix=f"run the study on a worker that has {LAUNCHER}, or set hardware.nodes to 1",
        )
    return words


def rendezvous(nodes: int) -> list[str]:
    """The options by which a torchrun on each of the nodes finds the others, at this machine."""
    address = os.environ.get(HEAD_ADDRESS) or socket.getfqdn()
    endpoint = f"{address}:{_free_port()}"
    where = [f"--rdzv-endpoint={endpoint}", f"--rdzv-id={uuid.uuid4().hex}"]
    return [f"--nnodes={nodes}", "--rdzv-backend=c10d", *where]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
