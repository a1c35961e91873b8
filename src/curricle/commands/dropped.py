"""`curricle prepare --show-dropped`: look at what a recipe dropped instead of preparing."""

import functools
import json

import click

from curricle.commands.common import Command, open_plan


def with_dropped(command: Command) -> Command:
    """Add `--show-dropped` and `--reason` to a stage's command."""

    @click.option("--show-dropped", metavar="RECIPE", help="Show what a prepared recipe dropped.")
    @click.option("--reason", help="With --show-dropped: one reason, and all its examples.")
    @functools.wraps(command)
    def wrapped(
        study: str,
        overrides: tuple[str, ...],
        as_json: bool,
        show_dropped: str | None,
        reason: str | None,
        **options: bool,
    ) -> None:
        if show_dropped is not None:
            _show(study, overrides, show_dropped, reason, as_json)
        elif reason is not None:
            raise click.UsageError("--reason goes with --show-dropped")
        else:
            command(study=study, overrides=overrides, as_json=as_json, **options)

    return wrapped


def _show(
    study: str, overrides: tuple[str, ...], recipe: str, reason: str | None, as_json: bool
) -> None:
    plan, store = open_plan(study, overrides)
    from curricle.tasks.dropped import dropped_of, render_dropped

    steps = dropped_of(plan, store, recipe, reason, count=3 if reason is None else 0)
    if as_json:
        click.echo(json.dumps([step.to_plain() for step in steps]))
    else:
        click.echo(render_dropped(steps))
