"""Datasets in the formats of other people's trainers, one part for each domain."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from curricle.core.errors import InputError
from curricle.core.token_dataset import MANIFEST, read_manifest
from curricle.recipes.exporting.mds import write_mds
from curricle.recipes.exporting.megatron import write_megatron
from curricle.recipes.exporting.olmo import write_olmo
from curricle.recipes.exporting.stored_documents import StoredDocument, stored_documents

# Writes the documents of one domain into a folder; gives the names of the files it wrote.
Writer = Callable[[Iterator[StoredDocument], str, str, Path], list[str]]

WRITERS: dict[str, Writer] = {
    "megatron": write_megatron,
    "mds": write_mds,
    "olmo": write_olmo,
}


def export_dataset(dataset: Path, file_format: str, output: Path) -> None:
    """Write the dataset in the folder `dataset` into `output`, which is made if it isn't there.

    Documents keep their order and their end-of-text tokens. `manifest.json` beside them says which
    files and how many tokens each domain has, and whose tokens they are. Raises InputError if there
    is something in `output`.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"{output}: there already, and not empty",
            expected="a folder to be made, or an empty one",
            fix="give another --output, or empty it",
        )
    output.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(dataset)
    written = {
        domain: {
            **entry,
            "files": WRITERS[file_format](
                stored_documents(dataset, domain), domain, manifest["dtype"], output
            ),
        }
        for domain, entry in manifest["domains"].items()
    }
    kept = ("vocabulary_size", "end_of_text", "tokenizer", "steps")
    content = {"format": file_format, "domains": written, **{key: manifest[key] for key in kept}}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (output / MANIFEST).write_text(text, encoding="utf-8")
