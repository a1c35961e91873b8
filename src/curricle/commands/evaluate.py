"""`curricle evaluate`: a study's targets, or any model by itself."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import click

from curricle.commands import evaluation_text as text
from curricle.commands.evaluation_inputs import ModelFolder, held_out_dataset, open_model
from curricle.commands.evaluation_judgement import (
    DOCUMENT_COLUMNS,
    QUESTION_COLUMNS,
    compare_answers,
    compare_losses,
    judge,
    read_rows,
)
from curricle.commands.evaluation_options import evaluation_options
from curricle.commands.evaluation_work import Work
from curricle.core.tokenizer_file import TOKENIZER

STUDY = "study"
# More tokens than anyone has: no limit.
_ALL = 1 << 62


class _StudyByDefault(click.Group):
    """What isn't one of the group's words is a study."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Put the word `study` before anything else."""
        if arguments and arguments[0] not in {*self.commands, *context.help_option_names}:
            arguments = [STUDY, *arguments]
        return super().parse_args(context, arguments)


@click.group(cls=_StudyByDefault)
def evaluate() -> None:
    """Evaluate a study's targets, or one model by itself.

    \b
    Example: curricle evaluate quickstart --set store=/data/curricle
    Example: curricle evaluate mmlu --model my-model --data mmlu.tar.gz --output mmlu.json

    A model is a checkpoint in a store, or a folder with a Hugging Face model. What is unfinished
    when a command is interrupted lies beside its output, and the same command goes on from there.
    """


_data_option = click.option(
    "--data",
    required=True,
    help="A dataset in a store, or Parquet, JSON Lines or text, a file or a folder: the columns "
    "text and, where there are any, domain and id.",
)
_tokens_option = click.option(
    "--tokens-per-domain", type=click.IntRange(min=1), help="Read at most so many; default: all."
)
_against_option = click.option(
    "--against", type=click.Path(path_type=Path), help="Rows of another model, to compare with."
)
_dry_run_option = click.option("--dry-run", is_flag=True, help="Print what it would take.")


@evaluate.command()
@_data_option
@_tokens_option
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    help="Tokens that each later window of a long document predicts; default: the context.",
)
@_against_option
@_dry_run_option
@evaluation_options("perplexity")
def perplexity(
    work: Work,
    model: str,
    tokenizer: Path | None,
    data: str,
    tokens_per_domain: int | None,
    stride: int | None,
    against: Path | None,
    dry_run: bool,
) -> None:
    """Perplexity and bits per byte of held-out documents, per domain.

    Example: curricle evaluate perplexity --model my-model --data held-out.parquet
    """
    from curricle.core.jobs import PerplexitySpec
    from curricle.models import perplexity as job

    found = open_model(model, tokenizer)
    spec = PerplexitySpec(
        tokens_per_domain=tokens_per_domain or _ALL, stride=stride, threads=work.threads
    )
    if dry_run:
        with tempfile.TemporaryDirectory() as scratch:
            held_out = held_out_dataset(data, found, tokens_per_domain, Path(scratch))
            work.show(_perplexity_plan(spec, found, held_out), text.plan_text)
        return
    work.check()
    others = None if against is None else read_rows(against, DOCUMENT_COLUMNS)
    held_out = held_out_dataset(data, found, tokens_per_domain, work.folder / "dataset")
    with work.running() as (folder, progress):
        inputs = _inputs(found, folder, validation=held_out)
        result = job.perplexity(spec, inputs, folder, work.placement, progress)
    rows = read_rows(folder / job.ROWS, DOCUMENT_COLUMNS)
    settings = {"data": data, "tokens_per_domain": tokens_per_domain, "stride": stride}
    versus = None if others is None else partial(compare_losses, rows, others, str(against))
    work.finish(folder / job.ROWS, found, settings, result, text.perplexity_text, versus)


@evaluate.command()
@click.option(
    "--data", required=True, help="MMLU, or a set in its layout: CSV folders, .tar.gz or Parquet."
)
@click.option("--subjects", help="Names with commas between; default: all.")
@click.option("--shots", default=5, show_default=True, type=click.IntRange(min=0))
@click.option(
    "--cloze/--no-cloze", default=True, help="Bits per byte of the right choices' texts as well."
)
@_against_option
@_dry_run_option
@evaluation_options("mmlu")
def mmlu(
    work: Work,
    model: str,
    tokenizer: Path | None,
    data: str,
    subjects: str | None,
    shots: int,
    cloze: bool,
    against: Path | None,
    dry_run: bool,
) -> None:
    """Multiple choice in MMLU's protocol, as lm-evaluation-harness asks it.

    Example: curricle evaluate mmlu --model my-model --data mmlu.tar.gz --output mmlu.json
    """
    from curricle.core.jobs import MultipleChoiceSpec
    from curricle.core.questions import read_questions
    from curricle.models import multiple_choice as job

    found = open_model(model, tokenizer)
    named = tuple(name.strip() for name in subjects.split(",")) if subjects else ()
    spec = MultipleChoiceSpec(shots=shots, subjects=named, cloze=cloze, threads=work.threads)
    if dry_run:
        from curricle.models.loading import load_language_model

        loaded, questions = load_language_model(found.path), read_questions(Path(data))
        work.show(job.estimate(spec, loaded, found.tokenizer, questions), text.plan_text)
        return
    work.check()
    others = None if against is None else read_rows(against, QUESTION_COLUMNS)
    with work.running() as (folder, progress):
        inputs = _inputs(found, folder, questions=Path(data))
        facts = job.multiple_choice(spec, inputs, folder, work.placement, progress)
    rows = read_rows(folder / job.ROWS, QUESTION_COLUMNS)
    result = judge(facts, rows)
    settings = {"data": data, "subjects": list(named), "shots": shots, "cloze": cloze}
    versus = None if others is None else partial(compare_answers, rows, others, str(against))
    work.finish(folder / job.ROWS, found, settings, result, text.multiple_choice_text, versus)


@evaluate.command()
@_data_option
@_tokens_option
@click.option("--batch-size", default=8, show_default=True, type=click.IntRange(min=1))
@click.option("--micro-batch-size", type=click.IntRange(min=1), help="Samples at once.")
@click.option("--max-iterations", default=50, show_default=True, type=click.IntRange(min=2))
@click.option("--tolerance", default=1e-3, show_default=True, help="Relative, of eigenvalues.")
@click.option(
    "--trace-samples",
    default=8,
    show_default=True,
    type=click.IntRange(min=0),
    help="Random vectors of the trace's estimate; 0: no trace.",
)
@click.option(
    "--dense-layers/--no-dense-layers",
    default=True,
    help="The spectrum over the layers' weight matrices alone as well.",
)
@click.option("--seed", default=0, show_default=True, help="Decides batch and random vectors.")
@_dry_run_option
@evaluation_options("sharpness")
def sharpness(
    work: Work,
    model: str,
    tokenizer: Path | None,
    data: str,
    tokens_per_domain: int | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Sharpness of the loss on held-out text: Hessian eigenvalues, trace, SAM.

    Example: curricle evaluate sharpness --model my-model --data held-out.parquet
    """
    from curricle.core.jobs import SharpnessSpec
    from curricle.models import sharpness as job

    found = open_model(model, tokenizer)
    spec = SharpnessSpec(**options, threads=work.threads)
    if dry_run:
        from curricle.models.loading import load_language_model

        work.show(job.estimate(spec, load_language_model(found.path)), text.plan_text)
        return
    work.check()
    held_out = held_out_dataset(data, found, tokens_per_domain, work.folder / "dataset")
    with work.running() as (folder, progress):
        inputs = _inputs(found, folder, validation=held_out)
        result = job.sharpness(spec, inputs, folder, work.placement, progress)
    settings = {"data": data, "tokens_per_domain": tokens_per_domain, **options}
    work.finish(None, found, settings, result, text.sharpness_text)


@evaluate.command()
@click.option("--tasks", required=True, help="Names of the harness's tasks, commas between.")
@click.option("--shots", type=click.IntRange(min=0), help="Default: each task's own.")
@click.option("--limit", type=click.IntRange(min=1), help="Documents of each task; default: all.")
@click.option(
    "--include-path", type=click.Path(path_type=Path), help="Folder with tasks of your own."
)
@evaluation_options("harness")
def harness(
    work: Work,
    model: str,
    tokenizer: Path | None,
    tasks: str,
    shots: int | None,
    limit: int | None,
    include_path: Path | None,
) -> None:
    """Tasks of lm-evaluation-harness; needs pip install 'curricle[harness]'.

    Example: curricle evaluate harness --model my-model --tasks lambada_openai,hellaswag
    """
    from curricle.commands.harness_tasks import run_tasks

    found = open_model(model, tokenizer)
    work.check()
    names = [name.strip() for name in tasks.split(",")]
    with work.running() as (folder, progress):
        where = (work.placement, names, shots, limit, include_path, folder, progress)
        result = run_tasks(found, *where)
    settings = {"tasks": names, "shots": shots, "limit": limit}
    work.finish(folder / "rows.parquet", found, settings, result, text.harness_text)


def _inputs(model: ModelFolder, folder: Path, **data: Path) -> dict[str, Path]:
    """A job's inputs, the tokenizer in the one form that jobs read."""
    model.tokenizer.save(str(folder / TOKENIZER))
    return {"checkpoint": model.path, "tokenizer": folder, **data}


def _perplexity_plan(spec: Any, model: ModelFolder, held_out: Path) -> dict[str, int]:
    from curricle.models.documents import dataset_documents
    from curricle.models.loading import load_language_model
    from curricle.models.perplexity import perplexity_flops

    documents = dataset_documents(held_out, model.tokenizer, spec.tokens_per_domain)
    return {
        "documents": len(documents),
        "tokens": sum(len(document.tokens) for document in documents),
        "flops": perplexity_flops(load_language_model(model.path), documents, spec.stride),
    }
