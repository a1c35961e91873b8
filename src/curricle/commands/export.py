"""`curricle export`: a stored checkpoint for other people's tools."""

from pathlib import Path

import click

from curricle.commands.common import writing
from curricle.commands.stored import find_stored, tokenizer_of


@click.command()
@click.argument("checkpoint")
@click.option("--format", "file_format", type=click.Choice(["huggingface"]), default="huggingface")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; new or empty.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    help="Folder of a tokenizer.json; default: the one that the checkpoint's data were made with.",
)
def export(checkpoint: str, file_format: str, output: Path, tokenizer: Path | None) -> None:
    """Write a checkpoint as a folder that transformers loads.

    CHECKPOINT is a checkpoint's folder in a store, local or on S3.

    Example: curricle export curricle-store/checkpoint/NAME/FINGERPRINT --output my-model
    """
    del file_format  # the only one so far
    from curricle.models.huggingface import export_model

    store, artifact = find_stored(checkpoint, "checkpoint")
    words = tokenizer or store.folder(tokenizer_of(store, artifact))
    with writing(output):
        export_model(store.folder(artifact), words, output)
    click.echo(str(output))
