"""`curricle rank --table FILE`: the ranking statistics for anybody's table of results."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from curricle.commands.common import Command, read_table, writing
from curricle.core.errors import InputError


def with_table(command: Command) -> Command:
    """Add `--table` and what goes with it to a stage's command, whose STUDY it replaces."""

    @click.option(
        "--table",
        type=click.Path(path_type=Path),
        help="Rank a CSV or Parquet file instead of a study: columns recipe, seed, domain (or "
        "task), value; optional stage (proxy or target), method, document, flops, dimension, role.",
    )
    @click.option("--baseline", help="With --table: what verdicts compare with; default: first.")
    @click.option(
        "--confidence",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="With --table: of the intervals; default: 0.95.",
    )
    @click.option(
        "--higher-is-better",
        is_flag=True,
        help="With --table: the highest value is best, as of accuracies; default: the lowest.",
    )
    @click.option(
        "--report", type=click.Path(path_type=Path), help="With --table: HTML file to write."
    )
    @functools.wraps(command)
    def wrapped(
        study: str | None,
        as_json: bool,
        table: Path | None,
        baseline: str | None,
        confidence: float | None,
        higher_is_better: bool,
        report: Path | None,
        **options: bool | tuple[str, ...],
    ) -> None:
        if table is None:
            _check_study_alone(study, baseline, confidence, higher_is_better or None, report)
            command(study=study, as_json=as_json, **options)
            return
        if study is not None or any(options.values()):
            raise click.UsageError("--table goes without STUDY, --set and --dry-run")
        wanted: dict[str, Any] = {
            "baseline": baseline,
            "confidence": confidence or 0.95,
            "higher_is_better": higher_is_better,
        }
        _rank(table, wanted, report, as_json)

    for parameter in vars(wrapped)["__click_params__"]:
        if isinstance(parameter, click.Argument):
            parameter.required = False
    example = "Or: curricle rank --table results.csv --report ranking.html"
    wrapped.__doc__ = f"{command.__doc__}\n\n{example}"
    return wrapped


def _check_study_alone(
    study: str | None,
    baseline: str | None,
    confidence: float | None,
    higher_is_better: bool | None,
    report: Path | None,
) -> None:
    if study is None:
        raise click.UsageError("Missing argument 'STUDY', or option '--table'")
    given = {
        "--baseline": baseline,
        "--confidence": confidence,
        "--higher-is-better": higher_is_better,
        "--report": report,
    }
    if extra := [name for name, value in given.items() if value is not None]:
        raise click.UsageError(f"{extra[0]} goes with --table")


def _rank(path: Path, wanted: Mapping[str, Any], report: Path | None, as_json: bool) -> None:
    """Rank the table at `path` with the keywords of `rank_table`; print, and write the report."""
    from curricle.analysis.table_ranking import rank_table

    frame = read_table(path)
    try:
        result = rank_table(frame, **wanted)
    except InputError as error:
        raise InputError(
            f"{path.name}: {error.found}", expected=error.expected, fix=error.fix
        ) from None
    if as_json:
        from curricle.core.plain import to_plain

        click.echo(json.dumps(to_plain(result)))
    else:
        from curricle.analysis.table_summary import render_table_ranking

        click.echo(render_table_ranking(result), nl=False)
    if report is not None:
        from curricle.analysis.report.table import render_table_report

        with writing(report):
            report.write_text(render_table_report(path.name, result), encoding="utf-8")
        click.echo(f"Report: {report}", err=as_json)
