"""The options that all evaluations of one model share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from curricle.commands.common import Command, json_option
from curricle.commands.evaluation_work import Work, default_threads
from curricle.models.cuda_driver import start_first_device


def evaluation_options(name: str) -> Callable[[Command], Command]:
    """Add the options that all evaluations share; the command gets a `Work` in their place."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(
            output: Path,
            device: str,
            threads: int | None,
            mlflow: str | None,
            as_json: bool,
            **options: Any,
        ) -> None:
            if device != "cpu":
                start_first_device()
            work = Work(name, output, device, threads or default_threads(), as_json, mlflow)
            command(work=work, **options)

        decorated: Command = run
        for option in reversed(_shared_options(name)):
            decorated = option(decorated)
        return decorated

    return decorate


def _shared_options(name: str) -> list[Callable[[Command], Command]]:
    path = click.Path(path_type=Path)
    return [
        click.option("--model", required=True, help="Folder of the model."),
        click.option("--tokenizer", type=path, help="Folder of another tokenizer than its own."),
        click.option(
            "--output",
            type=path,
            default=f"{name}.json",
            show_default=True,
            help="JSON to write; rows go beside it, as .parquet.",
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
        ),
        click.option(
            "--threads", type=click.IntRange(min=1), help="Of the CPU; default: all cores."
        ),
        click.option("--mlflow", help="Log the numbers to this MLflow, e.g. sqlite:///mlflow.db."),
        json_option,
    ]
