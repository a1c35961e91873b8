"""`curricle verify-order`: replay a run's order against its log."""

import json

import click

from curricle.commands.common import json_option
from curricle.commands.stored import find_stored, tokenizer_of
from curricle.core.errors import CurricleError


@click.command("verify-order")
@click.argument("checkpoint")
@json_option
def verify_order(checkpoint: str, as_json: bool) -> None:
    """Prove what a run read: replay its order against its log.

    CHECKPOINT is STORE/checkpoint/NAME/FINGERPRINT. Shows each domain's share and the texts of the
    first and the last batch.

    Example: curricle verify-order curricle-store/checkpoint/NAME/FINGERPRINT
    """
    store, run = find_stored(checkpoint, "checkpoint")
    from curricle.tasks.order_check import check_order, render_check

    check = check_order(store, run, tokenizer_of(store, run))
    click.echo(json.dumps(check.to_plain()) if as_json else render_check(check))
    if check.first_difference is not None:
        raise CurricleError(f"{run.key} didn't read what its order says")
    if not check.is_proved:
        raise CurricleError(
            f"{run.key}: its log proves {check.proved_steps} of {check.steps} steps, "
            "expected a digest at the last one"
        )
