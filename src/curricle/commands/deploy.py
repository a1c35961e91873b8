"""`curricle deploy`: register the flows with a Prefect server."""

import json

import click

from curricle.commands.common import json_option
from curricle.core.errors import CurricleError, InputError


@click.command()
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the study in every deployment, e.g. --set store=s3://bucket/curricle.",
)
@click.option(
    "--gpus",
    multiple=True,
    metavar="HOST=NUMBER",
    help="GPUs of a machine with workers, e.g. --gpus node-7=8; default: those of this machine.",
)
@click.option(
    "--notify",
    metavar="TYPE/NAME",
    help="Notification block that tells when a study has ended, e.g. slack-webhook/team.",
)
@click.option("--check", is_flag=True, help="Change nothing; say what differs, exit 1 if anything.")
@json_option
def deploy(
    overrides: tuple[str, ...],
    gpus: tuple[str, ...],
    notify: str | None,
    check: bool,
    as_json: bool,
) -> None:
    """Register work pools, deployments, schedules, limits and automations with a Prefect server.

    The server is the one of PREFECT_API_URL. Registering again changes nothing that is so already.

    Example: curricle deploy --set store=s3://bucket/curricle
    """
    machines = dict(map(_machine, gpus)) if gpus else None
    from curricle.environment import QUIET, set_defaults

    set_defaults(QUIET)
    from curricle.flows import deploying

    wishes = deploying.Wishes(overrides, machines, notify)
    if not check:
        addresses = deploying.deploy(wishes)
        click.echo(json.dumps({"deployments": addresses}) if as_json else "\n".join(addresses))
        return
    found = deploying.differences(wishes)
    click.echo(
        json.dumps({"differences": found}) if as_json else "\n".join(found or ["no difference"])
    )
    if found:
        raise CurricleError(
            f"the server differs in {len(found)} places; curricle deploy mends them"
        )


def _machine(text: str) -> tuple[str, int]:
    """Name and number of GPUs of HOST=NUMBER."""
    host, _, number = text.partition("=")
    if not host or not number.isdecimal():
        raise InputError(
            f"--gpus {text}", expected="HOST=NUMBER", fix="name the machine, as in --gpus node-7=8"
        )
    return host, int(number)
