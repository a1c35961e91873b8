"""A machine's GPUs as a concurrency limit of Prefect's, for which the jobs of its studies queue.

A job holds its slots by a lease that is renewed while its process lives. After SIGKILL, or when the
machine is gone, nobody renews it, and the server gives the slots to the next job.
"""

import contextlib
import socket
from collections.abc import Iterator

from prefect.concurrency.sync import concurrency

from curricle.models.placement import Placement, cuda_devices

# The shortest that Prefect's server grants. It is renewed after three quarters of it, and the
# server looks for those that ran out every 15 s.
LEASE_SECONDS = 60.0


def limit_name(host: str | None = None) -> str:
    """The limit's name for a machine; this one by default."""
    return f"curricle-gpus-{host or socket.gethostname()}"


def own_gpus() -> dict[str, int]:
    """This machine's name and its number of GPUs, if it has any."""
    count = cuda_devices()
    return {socket.gethostname(): count} if count else {}


@contextlib.contextmanager
def gpu_turn(placement: Placement) -> Iterator[None]:
    """Hold as many of this machine's GPUs as the job takes; none on a CPU.

    Without a limit on the server nothing is waited for. A job goes on if the server is away when
    its lease is to be renewed: its result is worth more than the order of the queue.
    """
    if placement.resolved == "cpu":
        yield
        return
    with concurrency(
        limit_name(),
        occupy=placement.devices,
        lease_duration=LEASE_SECONDS,
        raise_on_lease_renewal_failure=False,
    ):
        yield
