"""`curricle scale`: a ladder of sizes and curricula, and the laws it follows."""

import json
from typing import Any

import click

from curricle.commands.common import json_option, study_options


@click.command()
@study_options
@click.option("--dry-run", is_flag=True, help="Print the ladder and what it costs.")
@click.option(
    "--recommend",
    nargs=2,
    type=click.FloatRange(min=1),
    metavar="PARAMETERS TOKENS",
    help="Run nothing; say what to train a model of that size under, for so many tokens.",
)
@json_option
def scale(
    study: str,
    overrides: tuple[str, ...],
    dry_run: bool,
    recommend: tuple[float, float] | None,
    as_json: bool,
) -> None:
    """Train a ladder of sizes, curricula and budgets, and fit laws to it.

    Example: curricle scale curriculum-scaling --dry-run
    """
    from curricle.recipes.loading import load_ladder

    spec = load_ladder(study, overrides)
    if dry_run:
        print_costs(spec, as_json)
        return
    if recommend:
        _print_recommendation(spec, *recommend, as_json=as_json)
        return
    from curricle.environment import configure
    from curricle.tasks.places import check_devices, make_places

    check_devices(spec)
    configure(make_places(spec))
    from curricle.flows.local import run_local

    outcome = run_local("scale", study, list(overrides))
    click.echo(json.dumps(outcome.to_plain()) if as_json else outcome.text)


def print_costs(spec: Any, as_json: bool) -> None:
    """Print a ladder study's sizes, costs and how far they have come."""
    from curricle.core.store import Store
    from curricle.tasks.ladder.costing import costs_to_plain, render_costs
    from curricle.tasks.ladder.plan import LadderPlan

    plan, store = LadderPlan(spec), Store(spec.store, create=False)
    click.echo(json.dumps(costs_to_plain(plan, store)) if as_json else render_costs(plan, store))


def _print_recommendation(spec: Any, parameters: float, tokens: float, *, as_json: bool) -> None:
    from curricle.core.store import open_existing
    from curricle.tasks.ladder.outcome import recommendation
    from curricle.tasks.ladder.plan import LadderPlan

    found = recommendation(LadderPlan(spec), open_existing(spec.store), parameters, tokens)
    click.echo(json.dumps(found) if as_json else found["text"])
