"""The command line. Heavy packages are imported inside the commands that need them."""

import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from curricle import __version__
from curricle.commands.budget import with_budget
from curricle.commands.common import (
    Command,
    json_option,
    open_any_plan,
    study_options,
    writing,
)
from curricle.commands.deploy import deploy
from curricle.commands.diff import diff
from curricle.commands.dropped import with_dropped
from curricle.commands.evaluate import STUDY, evaluate
from curricle.commands.export import export
from curricle.commands.fit import fit
from curricle.commands.gc import gc
from curricle.commands.rank import with_table
from curricle.commands.scale import print_costs, scale
from curricle.commands.up import up
from curricle.commands.verify_order import verify_order
from curricle.commands.worker import worker
from curricle.core.errors import CurricleError, InputError

if TYPE_CHECKING:
    from curricle.recipes.study import Study

EXIT_INPUT, EXIT_FAILURE, EXIT_INTERRUPTED = 2, 1, 130

_ORDER = ("prepare", "rank", "confirm", "score", "pretrain", "evaluate")
STAGES_UNTIL = {
    "prepare": _ORDER[:1],
    "rank": _ORDER[:3],
    "score": _ORDER[:4],
    "pretrain": _ORDER[:5],
    "evaluate": _ORDER,
    "study": _ORDER,
}

WITH_BUDGET = {"run", "rank"}

STAGES = {
    "run": ("study", "Run a whole study, from the corpus to the report."),
    "prepare": ("prepare", "Turn the sources into a dataset per recipe."),
    "rank": ("rank", "Train proxies and rank the recipes."),
    "score": ("score", "Score every sample of the best recipe."),
    "pretrain": ("pretrain", "Train targets under each curriculum and control."),
    "evaluate": ("evaluate", "Evaluate the targets."),
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point: exit 0 done, 2 the input is wrong (one line), 1 anything else."""
    try:
        commands.main(args=arguments, prog_name="curricle", standalone_mode=False)
    except InputError as error:
        _exit(EXIT_INPUT, f"error: {error}")
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.UsageError as error:
        _exit(EXIT_INPUT, _usage(error))
    except (KeyboardInterrupt, click.Abort):
        _exit(EXIT_INTERRUPTED, "interrupted: the same command goes on from here")
    except CurricleError as error:
        _exit(EXIT_FAILURE, f"error: {error}")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_FAILURE)
    except Exception:
        traceback.print_exc()
        _exit(EXIT_FAILURE, "error: this is a bug in curricle, or its environment is broken")
    sys.exit(0)


class _InOrder(click.Group):
    """Lists commands in the order of a study rather than of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        """All names, as they were added."""
        del context
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def commands() -> None:
    """Find the data recipe and the curriculum for a large language model with small proxies.

    STUDY is a YAML file, or the name of a study that ships with curricle (quickstart).

    \b
    curricle run quickstart --dry-run     what would run, and what it costs
    curricle run quickstart               run it; again after an interruption to go on
    curricle ui quickstart                Prefect's and MLflow's pages over the results
    """


def _run_stage(
    flow_name: str, study: str, overrides: Sequence[str], dry_run: bool, as_json: bool
) -> None:
    from curricle.recipes.loading import load_study

    spec = load_study(study, overrides)
    if dry_run:
        _check_curricula(spec)
        _print_plan(spec, flow_name, as_json)
        return
    from curricle.environment import configure
    from curricle.tasks.places import check_devices, make_places

    if flow_name != "prepare":
        check_devices(spec)
    configure(make_places(spec))
    from curricle.flows.local import run_local

    outcome = run_local(flow_name, study, list(overrides))
    click.echo(json.dumps(outcome.to_plain()) if as_json else outcome.text)


def _add_stage_command(name: str, flow_name: str, help_text: str) -> None:
    @study_options
    @click.option("--dry-run", is_flag=True, help="Print what would run and what it costs.")
    @json_option
    def command(study: str, overrides: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
        _run_stage(flow_name, study, overrides, dry_run, as_json)

    example = f"Example: curricle {name} quickstart --set store=/data/curricle"
    command.__doc__ = f"{help_text}\n\n{example}"
    full: Command = with_dropped(command) if name == "prepare" else command
    full = with_budget(full) if name in WITH_BUDGET else full
    commands.command(name)(with_table(full) if name == "rank" else full)


for _name, (_flow, _help) in STAGES.items():
    _add_stage_command(_name, _flow, _help)
# The stage becomes a word of its own beside those that evaluate one model.
evaluate.add_command(commands.commands.pop("evaluate"), STUDY)
commands.add_command(evaluate)
commands.add_command(scale)


@commands.command()
@study_options
@click.option("--price", type=click.FloatRange(min=0), help="Of an hour of a job, in any currency.")
@json_option
def status(study: str, overrides: tuple[str, ...], price: float | None, as_json: bool) -> None:
    """Show how far a study has come, what it has cost, and what is next.

    Example: curricle status quickstart --price 0.04
    """
    from curricle.recipes.loading import LadderStudy, load_any

    spec = load_any(study, overrides)
    if isinstance(spec, LadderStudy):
        print_costs(spec, as_json)
    else:
        _print_plan(spec, "study", as_json, price)
    from curricle.core.store import Store

    page = Store(spec.store, create=False).page(spec.name)
    if page and not as_json:
        click.echo(f"page: {page}")


@commands.command()
@study_options
@click.option(
    "--format", "file_format", type=click.Choice(["csv", "parquet", "json"]), default="csv"
)
@click.option("--output", type=click.Path(path_type=Path), help="File to write; default: print.")
def results(study: str, overrides: tuple[str, ...], file_format: str, output: Path | None) -> None:
    """Print the tidy table of all results so far.

    Example: curricle results quickstart --format parquet --output results.parquet
    """
    plan, store = open_any_plan(study, overrides)
    from curricle.tasks.plans import results_of
    from curricle.tasks.results import render_results

    content = render_results(results_of(plan, store), file_format)
    if output is not None:
        with writing(output):
            output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)


@commands.command()
@study_options
@click.option(
    "--output", type=click.Path(path_type=Path), help="HTML file; default: <study>-report.html."
)
@click.option(
    "--figures", type=click.Path(path_type=Path), help="Folder for its figures as SVG files."
)
def report(
    study: str, overrides: tuple[str, ...], output: Path | None, figures: Path | None
) -> None:
    """Write the report of what the store holds so far.

    Example: curricle report quickstart --output report.html --figures figures
    """
    plan, store = open_any_plan(study, overrides)
    from curricle.tasks.plans import report_of

    text, path = report_of(plan, store), output or Path(f"{plan.study.name}-report.html")
    with writing(path):
        path.write_text(text, encoding="utf-8")
    click.echo(str(path))
    if figures is not None:
        with writing(figures):
            _write_figures(text, figures)


def _write_figures(page: str, folder: Path) -> None:
    from curricle.analysis.report.figures import standalone_figures

    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in standalone_figures(page).items():
        path = folder / f"{name}.svg"
        path.write_text(drawing, encoding="utf-8")
        click.echo(str(path))


@commands.command()
@click.argument("store")
@json_option
def verify(store: str, as_json: bool) -> None:
    """Check a store's files against their records.

    Example: curricle verify curricle-store
    """
    from curricle.core.store import Store, open_existing

    opened: Store = open_existing(store)
    artifacts = list(opened.artifacts())
    problems = [problem for artifact in artifacts for problem in opened.verify(artifact)]
    if as_json:
        click.echo(json.dumps({"artifacts": len(artifacts), "problems": problems}))
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(artifacts)} artifacts, {len(problems)} problems")
    if problems:
        raise CurricleError(f"{len(problems)} files of {store} aren't what their records say")


commands.add_command(diff)
commands.add_command(verify_order)
commands.add_command(export)
commands.add_command(fit)
commands.add_command(gc)


@commands.command()
@study_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--prefect-port", default=4200, show_default=True)
@click.option("--mlflow-port", default=5000, show_default=True)
def ui(
    study: str, overrides: tuple[str, ...], host: str, prefect_port: int, mlflow_port: int
) -> None:
    """Serve Prefect's and MLflow's pages until Ctrl-C, and say where the study's own is.

    Example: curricle ui quickstart
    """
    from curricle.environment import configure
    from curricle.recipes.loading import load_study
    from curricle.tasks.places import state_folder

    spec = load_study(study, overrides)
    configure(state_folder(spec))
    from curricle.flows.servers import serve_pages

    serve_pages(spec, host, prefect_port, mlflow_port, announce=click.echo)


commands.add_command(deploy)
commands.add_command(up)
commands.add_command(worker)


def _check_curricula(spec: "Study") -> None:
    """What would fail for lack of samples, where the store has the datasets already."""
    from curricle.core.store import Store
    from curricle.tasks.curricula_check import check_candidates
    from curricle.tasks.plan import StudyPlan

    check_candidates(StudyPlan(spec), Store(spec.store, create=False))


def _print_plan(spec: "Study", flow_name: str, as_json: bool, price: float | None = None) -> None:
    from curricle.tasks.overview import overview, render_overview

    stages = overview(spec, STAGES_UNTIL[flow_name])
    rows = [stage.to_row() for stage in stages]
    click.echo(json.dumps(rows) if as_json else render_overview(spec, stages, price))


def _usage(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "curricle"
    found = error.format_message().rstrip(".")
    return f"error: {found}, expected what {command} --help shows, fix: correct the command"


def _exit(status: int, line: str) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
