"""Options and habits that several commands share."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curricle.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Command = Callable[..., Any]


def study_options(command: Command) -> Command:
    """Add the argument STUDY and the option `--set`."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a key of the study, e.g. --set proxy.learning_rates=[1e-5,1e-3].",
    )(command)
    return click.argument("study")(command)


def json_option(command: Command) -> Command:
    """Add the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the ways in which `path` can't be written into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}",
            expected="a file that can be written",
            fix="give another --output",
        ) from None


def open_plan(study: str, overrides: Sequence[str]) -> tuple[Any, Any]:
    """The plan of a study and its store, to read from; InputError if there is no store yet."""
    from curricle.recipes.loading import load_study

    spec = load_study(study, overrides)
    from curricle.core.store import open_existing
    from curricle.tasks.plan import StudyPlan

    return StudyPlan(spec), open_existing(spec.store)


def open_any_plan(study: str, overrides: Sequence[str]) -> tuple[Any, Any]:
    """The same for either form of study, a ladder too."""
    from curricle.recipes.loading import load_any

    spec = load_any(study, overrides)
    from curricle.core.store import open_existing
    from curricle.tasks.plans import plan_of

    return plan_of(spec), open_existing(spec.store)


def read_table(path: Path) -> "pd.DataFrame":
    """The table in a CSV or Parquet file; InputError for one that can't be read."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: {error}", expected="a readable CSV or Parquet table", fix="correct the path"
        ) from None
