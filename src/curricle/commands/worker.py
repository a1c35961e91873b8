"""`curricle worker`: a machine that works on the runs of a work pool."""

import click


@click.command()
@click.option("--pool", default="cpu", show_default=True, help="The work pool to serve.")
@click.option("--name", help="What Prefect's pages call it; by default a name of Prefect's choice.")
@click.option(
    "--limit", default=1, show_default=True, type=click.IntRange(min=1), help="Runs at once."
)
@click.option(
    "--grace",
    default=100.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that runs have to end after SIGTERM or Ctrl-C.",
)
def worker(pool: str, name: str | None, limit: int, grace: float) -> None:
    """Work on studies that are started from Prefect's server at PREFECT_API_URL.

    Asked to end (SIGTERM, Ctrl-C), it lets jobs leave snapshots and puts its runs back into their
    queue, from which another worker goes on.

    Example: curricle worker --pool gpu
    """
    from curricle.environment import QUIET, set_defaults

    # There is no terminal to keep clear: what runs say belongs in the machine's log.
    set_defaults({**QUIET, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO"})
    from curricle.flows.worker import serve

    serve(pool, name, limit, grace, click.echo)
