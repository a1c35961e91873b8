"""`curricle fit`: a scaling law to any table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curricle.commands.common import json_option, read_table
from curricle.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from curricle.analysis.scaling.breaks import BreakFinding
    from curricle.analysis.scaling.fitting import ScalingFit
    from curricle.analysis.scaling.points import Points

_PARAMETERS = ("parameters", "Model Size")
_TOKENS = ("tokens",)
_FLOPS = ("flops", "Training FLOP")
_LOSS = ("loss", "value")


@dataclass(frozen=True)
class _Columns:
    """The columns that the options name, None where they name none."""

    parameters: str | None
    tokens: str | None
    flops: str | None
    loss: str | None
    x: str | None
    y: str | None


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Choice(["chinchilla", "power", "broken"]),
    default="chinchilla",
    show_default=True,
    help="E + A/N^alpha + B/D^beta; E + A/x^alpha; the latter with up to two breaks.",
)
@click.option("--parameters", help="Column of N; default: parameters, else Model Size.")
@click.option("--tokens", help="Column of D; default: tokens if there is one.")
@click.option("--flops", help="Column of training FLOP, for D = FLOP / (6 N).")
@click.option("--loss", help="Column of the loss; default: loss, else value.")
@click.option("--x", help="Column of x for power and broken; default: the parameters.")
@click.option("--y", help="Column of the loss for power and broken; default: as for --loss.")
@click.option(
    "--drop-highest", default=0, type=click.IntRange(min=0), help="Points to leave out, by loss."
)
@click.option(
    "--bootstrap", default=1000, show_default=True, type=int, help="Resamples; 0: no intervals."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the resamples.")
@json_option
def fit(
    table: Path,
    model: str,
    drop_highest: int,
    bootstrap: int,
    seed: int,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Fit a scaling law to TABLE, a CSV or Parquet file with one row per run.

    Example: curricle fit runs.csv --model chinchilla --parameters N --tokens D --loss loss
    """
    frame = read_table(table)
    points = _points(frame, model, _Columns(**columns)).without_highest(drop_highest)
    result: BreakFinding | ScalingFit
    if model == "broken":
        from curricle.analysis.scaling.breaks import find_breaks

        result = find_breaks(points, bootstrap=bootstrap, seed=seed)
    else:
        from curricle.analysis.scaling.fitting import fit_chinchilla, fit_power

        fit_law = fit_chinchilla if model == "chinchilla" else fit_power
        result = fit_law(points, bootstrap=bootstrap, seed=seed)
    click.echo(json.dumps(result.to_plain()) if as_json else _render(result.to_plain()))


def _points(frame: "pd.DataFrame", model: str, columns: _Columns) -> "Points":
    from curricle.analysis.scaling.points import chinchilla_points, power_points

    loss = _column(frame, columns.loss or columns.y, _LOSS)
    if model != "chinchilla":
        named = columns.x or columns.parameters or columns.tokens or columns.flops
        return power_points(frame, _column(frame, named, _PARAMETERS), loss)
    if columns.x:
        raise InputError(
            "--x for the law in N and D",
            expected="--parameters, and --tokens or --flops",
            fix="give these, or --model power",
        )
    tokens, flops = columns.tokens, columns.flops
    if tokens is None and flops is None:
        tokens = next((name for name in _TOKENS if name in frame.columns), None)
        flops = None if tokens else _column(frame, None, _FLOPS)
    parameters = _column(frame, columns.parameters, _PARAMETERS)
    return chinchilla_points(frame, parameters, loss, tokens=tokens, flops=flops)


def _column(frame: "pd.DataFrame", named: str | None, usual: Sequence[str]) -> str:
    """The column that an option names, else the first usual one that the table has."""
    return named or next((name for name in usual if name in frame.columns), usual[0])


def _render(result: Mapping[str, Any]) -> str:
    rows = [("parameter", "estimate", "95 % interval")]
    for name, value in result["parameters"].items():
        ends = result["intervals"].get(name)
        interval = f"{_number(ends[0])} to {_number(ends[1])}" if ends else ""
        rows.append((name, _number(value), interval))
    lines = _aligned(rows)
    facts = [("points", str(result["points"])), ("objective", _number(result["objective"]))]
    facts.append(("residual", f"{result['residual']:.2%} of the loss".replace("%", " %", 1)))
    if result["held_out"] is not None:
        error = f"{result['held_out']:.2%}".replace("%", " %")
        facts.append(("held-out size", f"predicted within {error} (root mean square)"))
    lines += ["", *_aligned(facts)]
    lines += [f"warning: {text}" for text in result["warnings"]]
    return "\n".join([*lines, "", result["meaning"]])


def _number(value: float) -> str:
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
