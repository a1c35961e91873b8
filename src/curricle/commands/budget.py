"""`--budget-flops` and `--budget-hours`: what the proxies of a study may cost."""

import functools

import click

from curricle.commands.common import Command


def with_budget(command: Command) -> Command:
    """Add the two options to a stage's command; they stand for `--set budget.flops=` and so on."""

    @click.option(
        "--budget-flops",
        type=click.FloatRange(min=0, min_open=True),
        help="Most operations of the proxies: seeds are added, and recipes dropped that can't be "
        "the best any more, until it is spent.",
    )
    @click.option(
        "--budget-hours",
        type=click.FloatRange(min=0, min_open=True),
        help="The same in hours on this machine.",
    )
    @functools.wraps(command)
    def wrapped(
        overrides: tuple[str, ...],
        budget_flops: float | None,
        budget_hours: float | None,
        **options: bool | str,
    ) -> None:
        given = {"flops": budget_flops, "hours": budget_hours}
        more = [f"budget.{name}={value!r}" for name, value in given.items() if value is not None]
        command(overrides=(*overrides, *more), **options)

    return wrapped
