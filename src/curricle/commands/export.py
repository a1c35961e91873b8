"""`curricle export`: a stored checkpoint or dataset for other people's tools."""

from pathlib import Path

import click

from curricle.commands.common import writing
from curricle.commands.stored import find_stored, tokenizer_of

DATASETS = ("megatron", "mds", "olmo")


@click.command()
@click.argument("artifact")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["huggingface", *DATASETS]),
    default="huggingface",
    show_default=True,
    help="huggingface for a checkpoint; for a dataset Megatron's .bin/.idx, MosaicML's MDS or "
    "OLMo's .npy.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; new or empty.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    help="Folder of a tokenizer.json for a checkpoint; default: that of its data.",
)
def export(artifact: str, file_format: str, output: Path, tokenizer: Path | None) -> None:
    """Write a checkpoint as a folder that transformers loads, or a dataset for a trainer.

    ARTIFACT is a checkpoint's or a dataset's folder in a store, local or on S3.

    \b
    Example: curricle export curricle-store/checkpoint/NAME/FINGERPRINT --output my-model
    Example: curricle export STORE/dataset/NAME/FINGERPRINT --format megatron --output my-data
    """
    if file_format in DATASETS:
        if tokenizer is not None:
            raise click.UsageError("--tokenizer goes with --format huggingface")
        _export_dataset(artifact, file_format, output)
    else:
        _export_checkpoint(artifact, output, tokenizer)
    click.echo(str(output))


def _export_dataset(address: str, file_format: str, output: Path) -> None:
    from curricle.recipes.exporting import export_dataset

    store, artifact = find_stored(address, "dataset")
    with writing(output):
        export_dataset(store.folder(artifact), file_format, output)


def _export_checkpoint(address: str, output: Path, tokenizer: Path | None) -> None:
    from curricle.models.huggingface import export_model

    store, artifact = find_stored(address, "checkpoint")
    words = tokenizer or store.folder(tokenizer_of(store, artifact))
    with writing(output):
        export_model(store.folder(artifact), words, output)
