"""`curricle diff`: what differs between two studies, in what they say and in what they found."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from curricle.commands.common import json_option, open_plan

if TYPE_CHECKING:
    from curricle.analysis.study_difference import CellDifference, StudyDifference

_MISSING = "-"


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--set", "both", multiple=True, metavar="KEY=VALUE", help="Override a key of both.")
@click.option("--set-first", multiple=True, metavar="KEY=VALUE", help="Override a key of FIRST.")
@click.option("--set-second", multiple=True, metavar="KEY=VALUE", help="Override a key of SECOND.")
@json_option
def diff(
    first: str,
    second: str,
    both: tuple[str, ...],
    set_first: tuple[str, ...],
    set_second: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what differs between two studies: in their settings, and in their results.

    Held-out losses are compared cell by cell (stage, recipe, curriculum, model, rate), seed by seed
    where both ran the same seeds, with intervals that hold jointly.

    Example: curricle diff quickstart quickstart --set-second proxy.tokens=160000
    """
    plans = [
        open_plan(study, [*both, *own]) for study, own in ((first, set_first), (second, set_second))
    ]
    from curricle.analysis.study_difference import compare_results
    from curricle.tasks.results import collect_results

    settings = list(_settings(*(_flat(plan.study.model_dump(mode="json")) for plan, _ in plans)))
    results = compare_results(*(collect_results(plan, store) for plan, store in plans))
    click.echo(_to_json(settings, results) if as_json else _render(settings, results))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """A nested mapping's leaves by their dotted keys; lists are leaves."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def _settings(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[tuple[str, str | None, str | None]]:
    for key in dict.fromkeys([*first, *second]):
        spelled = [json.dumps(side[key]) if key in side else None for side in (first, second)]
        if spelled[0] != spelled[1]:
            yield key, spelled[0], spelled[1]


def _to_json(
    settings: Sequence[tuple[str, str | None, str | None]], results: "StudyDifference"
) -> str:
    from curricle.analysis.study_difference import CELL_COLUMNS

    def named(cells: Sequence[tuple[str, ...]]) -> list[dict[str, str]]:
        return [dict(zip(CELL_COLUMNS, cell, strict=True)) for cell in cells]

    plain = {
        "settings": {
            key: [None if side is None else json.loads(side) for side in sides]
            for key, *sides in settings
        },
        "metric": results.metric,
        "confidence": results.confidence,
        "results": [cell.to_plain() for cell in results.cells],
        "only_first": named(results.only_first),
        "only_second": named(results.only_second),
    }
    return json.dumps(plain)


def _render(
    settings: Sequence[tuple[str, str | None, str | None]], results: "StudyDifference"
) -> str:
    lines = ["Settings" if settings else "Settings: no difference"]
    lines += [f"  {key}: {a or _MISSING} -> {b or _MISSING}" for key, a, b in settings]
    equal = sum(cell.verdict is None for cell in results.cells)
    lines += ["", f"Results: {results.metric}, mean over domains, second minus first"]
    lines += _table([cell for cell in results.cells if cell.verdict is not None])
    if equal:
        lines.append(f"  {equal} cells are equal to the last digit")
    for label, cells in (("first", results.only_first), ("second", results.only_second)):
        if cells:
            lines.append(f"  {len(cells)} cells are in the {label} study alone")
    if not (results.cells or results.only_first or results.only_second):
        lines.append("  neither has any yet")
    return "\n".join(lines)


def _table(cells: Sequence["CellDifference"]) -> list[str]:
    if not cells:
        return []
    shown = [cell.to_row() for cell in cells]
    rows = [tuple(shown[0]), *(tuple(row.values()) for row in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
