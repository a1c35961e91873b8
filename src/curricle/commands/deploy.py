"""`curricle deploy`: register the flows with a Prefect server."""

import json

import click

from curricle.commands.common import json_option
from curricle.core.errors import CurricleError


@click.command()
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the study in every deployment, e.g. --set store=s3://bucket/curricle.",
)
@click.option("--check", is_flag=True, help="Change nothing; say what differs, exit 1 if anything.")
@json_option
def deploy(overrides: tuple[str, ...], check: bool, as_json: bool) -> None:
    """Register work pools, deployments, schedules and automation with a Prefect server.

    The server is the one of PREFECT_API_URL. Registering again changes nothing that is so already.

    Example: curricle deploy --set store=s3://bucket/curricle
    """
    from curricle.environment import QUIET, set_defaults

    set_defaults(QUIET)
    from curricle.flows import deploying

    if not check:
        addresses = deploying.deploy(overrides)
        click.echo(json.dumps({"deployments": addresses}) if as_json else "\n".join(addresses))
        return
    found = deploying.differences(overrides)
    click.echo(
        json.dumps({"differences": found}) if as_json else "\n".join(found or ["no difference"])
    )
    if found:
        raise CurricleError(
            f"the server differs in {len(found)} places; curricle deploy mends them"
        )
