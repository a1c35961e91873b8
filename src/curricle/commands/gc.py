"""`curricle gc`: what no study of a store refers to."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from curricle.commands.common import json_option

if TYPE_CHECKING:
    from curricle.tasks.registry import Garbage


@click.command()
@click.argument("store")
@click.option("--delete", is_flag=True, help="Delete it; without this nothing is changed.")
@click.option("--forget", multiple=True, metavar="STUDY", help="Count this study's as garbage too.")
@click.option(
    "--older-than",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="HOURS",
    help="Leave what is younger: a study under way may be about to need it.",
)
@json_option
def gc(store: str, delete: bool, forget: tuple[str, ...], older_than: float, as_json: bool) -> None:
    """Show what no study of STORE refers to any more, and with --delete delete it.

    A study refers to what its last run needed under its settings then. What is deleted is made
    again by a study that needs it after all.

    Example: curricle gc curricle-store --delete
    """
    from curricle.core.store import open_existing
    from curricle.tasks.registry import collect, find_garbage

    opened = open_existing(store)
    garbage = find_garbage(opened, timedelta(hours=older_than), forget)
    if delete:
        collect(opened, garbage)
    click.echo(_to_json(garbage, deleted=delete) if as_json else _render(garbage, deleted=delete))


def _to_json(garbage: "Garbage", *, deleted: bool) -> str:
    plain = {
        "studies": garbage.studies,
        "kept": garbage.kept,
        "young": garbage.young,
        "artifacts": {artifact.key: size for artifact, size in garbage.artifacts.items()},
        "unfinished": [artifact.key for artifact in garbage.unfinished],
        "bytes": garbage.bytes,
        "deleted": deleted,
    }
    return json.dumps(plain)


def _render(garbage: "Garbage", *, deleted: bool) -> str:
    lines = [
        f"{size / 2**20:>9.1f} MiB  {artifact.key}" for artifact, size in garbage.artifacts.items()
    ]
    lines += [f"{'unfinished':>13}  {artifact.key}" for artifact in garbage.unfinished]
    lines.append(
        f"studies: {', '.join(garbage.studies) or 'none'}; they refer to {garbage.kept} artifacts, "
        f"{garbage.young} more are too young to judge"
    )
    count, size = len(garbage.artifacts), garbage.bytes / 2**20
    what = f"{count} artifacts of {size:.1f} MiB, unfinished work on {len(garbage.unfinished)}"
    hint = "" if deleted or not (count or garbage.unfinished) else "; --delete does it"
    return "\n".join([*lines, f"{'deleted' if deleted else 'to delete'}: {what}{hint}"])
