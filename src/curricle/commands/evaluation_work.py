"""One evaluation at work: where it keeps what is unfinished, how far it is, what it leaves."""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from curricle import __version__
from curricle.commands.common import writing
from curricle.commands.evaluation_inputs import ModelFolder
from curricle.core.errors import CurricleError, InputError

if TYPE_CHECKING:
    from curricle.models.placement import Placement

Progress = Callable[[int, int], None]
Render = Callable[[Mapping[str, Any]], str]
# A command's user waits for it: losing more than this to a Ctrl-C or a crash would be felt.
SNAPSHOT_SECONDS = 20.0
SNAPSHOTS = "snapshots"
JOB_KINDS = {
    "perplexity": "perplexity",
    "mmlu": "multiple-choice",
    "sharpness": "sharpness",
    "harness": "harness",
}


@dataclass(frozen=True)
class Work:
    """An evaluation called `name` whose result goes to `output`, and its rows beside it.

    What an interrupted one has done lies in a hidden folder beside the output until the same
    command has gone on and ended.
    """

    name: str
    output: Path
    device: str
    threads: int
    as_json: bool
    mlflow: str | None = None

    @property
    def rows(self) -> Path:
        """The Parquet file beside the output."""
        return self.output.with_suffix(".parquet")

    @property
    def folder(self) -> Path:
        """Where unfinished work lies."""
        return self.output.with_name(f".{self.output.stem}.unfinished")

    @property
    def placement(self) -> "Placement":
        """The device, and the place of snapshots."""
        from curricle.models.placement import Placement

        return Placement(
            accelerator=self.device,
            unfinished=str(self.folder / SNAPSHOTS),
            snapshot_seconds=SNAPSHOT_SECONDS,
        )

    def check(self) -> None:
        """Raise InputError for an output that can't be what it should."""
        if self.output.suffix != ".json":
            raise InputError(
                f"--output {self.output}",
                expected="a file ending in .json; the rows go beside it, as .parquet",
                fix="rename it",
            )
        with writing(self.output):
            self.output.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.output.parent):
                pass  # better now than after an hour

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[Path, Progress]]:
        """An empty folder for the job's files, and what shows its progress.

        Ctrl-C asks the job to leave a snapshot; a second one ends it at once.
        """
        import torch

        from curricle.models.interruption import InterruptedJobError, request_stop

        torch.set_num_threads(self.threads)
        job = self.folder / "job"
        shutil.rmtree(job, ignore_errors=True)
        job.mkdir(parents=True)

        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            request_stop()
            signal.signal(signal.SIGINT, before)

        before = signal.signal(signal.SIGINT, stop)
        try:
            with _bar(self.name) as progress:
                yield job, progress
        except InterruptedJobError:
            raise KeyboardInterrupt from None
        except CurricleError:
            if not (self.folder / SNAPSHOTS).exists():
                shutil.rmtree(self.folder)
            raise
        finally:
            signal.signal(signal.SIGINT, before)

    def finish(
        self,
        rows: Path | None,
        model: ModelFolder,
        settings: Mapping[str, Any],
        result: Mapping[str, Any],
        render: Render,
        versus: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """Write, show and log the result, and rows if there are any; drop what was unfinished.

        `versus` makes its comparison with another model, under `against`. Raises InputError if it
        can't, and JobError if the result can't be logged, with everything else written.
        """
        problem = None
        try:
            result = {**result, "against": versus()} if versus else result
        except InputError as error:
            problem = error
        content = {
            "evaluation": self.name,
            "curricle": __version__,
            "model": str(model.path),
            "settings": {**settings, "device": self.device, "threads": self.threads},
            "rows": self.rows.name if rows else None,
            "result": dict(result),
        }
        with writing(self.output):
            if rows:
                shutil.copyfile(rows, self.rows)
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            self.output.write_text(text, encoding="utf-8")
        shutil.rmtree(self.folder)
        self.show(content, lambda written: render(written["result"]))
        if self.mlflow:
            self._log(self.mlflow, model, settings, result)
        if problem:
            raise problem

    def _log(
        self, uri: str, model: ModelFolder, settings: Mapping[str, Any], result: Mapping[str, Any]
    ) -> None:
        from curricle.models.unfinished import identity_of
        from curricle.tasks.one_model import log_evaluation

        weights = identity_of({"model": model.path})
        kind = JOB_KINDS[self.name]
        log_evaluation(uri, str(model.path), weights, kind, settings, result)

    def show(self, content: Mapping[str, Any], render: Render) -> None:
        """Print as JSON or as text, whichever was asked for."""
        click.echo(json.dumps(content) if self.as_json else render(content))


def default_threads() -> int:
    """As many as there are cores for this process."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """A progress bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bars:
        task = bars.add_task(name, total=None)

        def show(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield show
