"""Registers the limits of jobs on machines' GPUs with a Prefect server."""

from collections.abc import Iterator, Mapping

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from curricle.tasks.gpus import limit_name


def make_limits(client: SyncPrefectClient, gpus: Mapping[str, int]) -> None:
    """Let as many jobs run on each machine as it has GPUs, given by the machine's name."""
    for host, count in gpus.items():
        client.upsert_global_concurrency_limit_by_name(limit_name(host), count)


def limit_deviations(client: SyncPrefectClient, gpus: Mapping[str, int]) -> Iterator[str]:
    """What the server has otherwise, a line each."""
    for host, count in gpus.items():
        name = limit_name(host)
        try:
            found = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            yield f"concurrency limit {name}: missing"
            continue
        if found.limit != count:
            yield f"concurrency limit {name}: is {found.limit}, expected {count}"
        if not found.active:
            yield f"concurrency limit {name}: switched off"
